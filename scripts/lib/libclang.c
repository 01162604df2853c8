/*
 * Finds libclang as bindgen does, loads it, and has it read a C file:
 *   libclang FILE.c
 *
 * Succeeds in silence, or says in one line why bindgen would fail. A file whose
 * name looks right proves nothing: libclang-cpp.so lacks the C interface, and
 * libclang without its own headers cannot read <stddef.h>.
 *
 * The order of search is that of the crate clang-sys: LIBCLANG_PATH alone if it
 * is set; otherwise llvm-config's folder, LD_LIBRARY_PATH, LIBRARY_PATH and the
 * usual places; of what is found the highest version in the name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS 4

static char best[PATH_MAX];
static int best_version[PARTS];

/* "libclang.so.18.1" and "libclang-14.0.6.so" have a version, "libclang.so" has none. */
static void version_of(const char *name, int version[PARTS])
{
    const char *text = NULL;
    memset(version, 0, PARTS * sizeof(int));
    if (!strncmp(name, "libclang.so.", 12)) text = name + 12;
    else if (!strncmp(name, "libclang-", 9)) text = name + 9;
    for (int i = 0; text && *text && i < PARTS; i++) {
        char *end;
        version[i] = (int)strtol(text, &end, 10);
        text = *end == '.' ? end + 1 : NULL;
    }
}

/* The class of an ELF file of this program's word size is 1 (32 bits) or 2 (64). */
static int fits(const char *path)
{
    unsigned char head[5] = {0};
    FILE *in = fopen(path, "rb");
    size_t n = in ? fread(head, 1, sizeof head, in) : 0;
    if (in) fclose(in);
    return n == sizeof head && !memcmp(head, "\177ELF", 4) && head[4] == (sizeof(void *) == 8 ? 2 : 1);
}

static void consider(const char *path)
{
    char copy[PATH_MAX];
    int version[PARTS];
    snprintf(copy, sizeof copy, "%s", path);
    const char *name = basename(copy);
    if (strstr(name, "-cpp.") || !fits(path)) return;
    version_of(name, version);
    for (int i = 0; i < PARTS; i++) {
        if (version[i] == best_version[i]) continue;
        if (version[i] < best_version[i]) return;
        *best = 0;
        break;
    }
    if (*best) return; /* found earlier, with the same version */
    snprintf(best, sizeof best, "%s", path);
    memcpy(best_version, version, sizeof version);
}

/* Folders may be a pattern. */
static void search(const char *folders)
{
    static const char *const names[] = {"libclang.so", "libclang-*.so", "libclang.so.*", "libclang-*.so.*"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char pattern[PATH_MAX];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/%s", folders, names[i]);
        if (glob(pattern, 0, NULL, &found) == 0)
            for (size_t n = 0; n < found.gl_pathc; n++) consider(found.gl_pathv[n]);
        globfree(&found);
    }
}

static void search_each(const char *variable)
{
    char *all = getenv(variable) ? strdup(getenv(variable)) : NULL;
    for (char *one = all ? strtok(all, ":") : NULL; one; one = strtok(NULL, ":")) search(one);
    free(all);
}

static void search_llvm_config(void)
{
    char command[PATH_MAX + 32], prefix[PATH_MAX] = "", folder[PATH_MAX + 8];
    const char *program = getenv("LLVM_CONFIG_PATH");
    snprintf(command, sizeof command, "'%s' --prefix 2>/dev/null", program ? program : "llvm-config");
    FILE *answer = popen(command, "r");
    if (answer && fgets(prefix, sizeof prefix, answer)) {
        prefix[strcspn(prefix, "\n")] = 0;
        snprintf(folder, sizeof folder, "%s/bin", prefix);
        search(folder);
        snprintf(folder, sizeof folder, "%s/lib", prefix);
        search(folder);
    }
    if (answer) pclose(answer);
}

static void find(void)
{
    static const char *const usual[] = {
        "/usr/local/llvm*/lib*", "/usr/local/lib*/*/*", "/usr/local/lib*/*", "/usr/local/lib*",
        "/usr/lib*/*/*", "/usr/lib*/*", "/usr/lib*",
    };
    const char *only = getenv("LIBCLANG_PATH");
    if (only) {
        if (strstr(only, ".so")) consider(only);
        else search(only);
        return;
    }
    search_llvm_config();
    search_each("LD_LIBRARY_PATH");
    search_each("LIBRARY_PATH");
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) search(usual[i]);
}

/* The part of clang-c/Index.h that is needed, which libclang alone does not bring. */
typedef struct { const void *data; unsigned flags; } text_t;
typedef void *(*create_index_t)(int, int);
typedef void *(*parse_t)(void *, const char *, const char *const *, int, void *, unsigned, unsigned);
typedef unsigned (*count_t)(void *);
typedef void *(*diagnostic_t)(void *, unsigned);
typedef unsigned (*severity_t)(void *);
typedef text_t (*spelling_t)(void *);
typedef const char *(*c_string_t)(text_t);

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    find();
    if (!*best) {
        printf("no libclang.so was found%s\n", getenv("LIBCLANG_PATH") ? " at LIBCLANG_PATH" : "");
        return 1;
    }
    void *library = dlopen(best, RTLD_NOW);
    if (!library) {
        printf("%s does not load: %s\n", best, dlerror());
        return 1;
    }
    create_index_t create_index = (create_index_t)dlsym(library, "clang_createIndex");
    parse_t parse = (parse_t)dlsym(library, "clang_parseTranslationUnit");
    count_t count = (count_t)dlsym(library, "clang_getNumDiagnostics");
    diagnostic_t diagnostic = (diagnostic_t)dlsym(library, "clang_getDiagnostic");
    severity_t severity = (severity_t)dlsym(library, "clang_getDiagnosticSeverity");
    spelling_t spelling = (spelling_t)dlsym(library, "clang_getDiagnosticSpelling");
    c_string_t c_string = (c_string_t)dlsym(library, "clang_getCString");
    if (!create_index || !parse || !count || !diagnostic || !severity || !spelling || !c_string) {
        printf("%s lacks clang's C interface\n", best);
        return 1;
    }
    void *unit = parse(create_index(0, 0), argv[1], NULL, 0, NULL, 0, 0);
    if (!unit) {
        printf("%s cannot read a C file\n", best);
        return 1;
    }
    for (unsigned i = 0; i < count(unit); i++) {
        void *one = diagnostic(unit, i);
        if (severity(one) < 3) continue; /* a warning */
        printf("%s cannot read a C file: %s\n", best, c_string(spelling(one)));
        return 1;
    }
    return 0;
}
