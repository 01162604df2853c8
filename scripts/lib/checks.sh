# shellcheck shell=bash
# Checks by use: each runs, loads or reads what is needed, and says in one line
# why it will not do. Sourced by scripts/install.sh, after steps.sh, with $work a
# folder for what the checks write.
: "${work:?}"

has() { command -v "$1" >/dev/null 2>&1; }

there() { has "$1" || { echo "$1 was not found"; return 1; }; }

# PostgreSQL's programs, which Debian keeps in a folder for each version. The cluster that
# its package makes is not used.
postgres_works() {
    local folder
    folder=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
    PATH=$PATH${folder:+:$folder}
    runs initdb --version && runs postgres --version && runs psql --version
}

# runs COMMAND...: it is there and succeeds.
runs() {
    local output
    there "$1" || return 1
    output=$(timeout 60 "$@" 2>&1 </dev/null) || {
        echo "\"$*\" fails: $(tail -n 1 <<<"$output")"
        return 1
    }
}

# at_least WHAT WANTED FOUND: versions, compared part by part.
at_least() {
    [ -n "$3" ] || { echo "$1 does not say its version"; return 1; }
    [ "$(printf '%s\n' "$2" "$3" | sort -V | head -n 1)" = "$2" ] && return 0
    echo "$1 $3 is older than $2"
    return 1
}

# The first version number of the input.
version() { grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

# recent COMMAND FLAG WANTED
recent() {
    runs "$1" "$2" && at_least "$1" "$3" "$("$1" "$2" 2>&1 | version)"
}

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }
rust_works() { recent rustc --version "$(wanted_rust)" && recent cargo --version "$(wanted_rust)"; }

# Compiles, links and runs a program.
cc_works() {
    there cc || return 1
    printf '#include <stdio.h>\n#include <pthread.h>\nint main(void) { return puts("works") < 0; }\n' >"$work/cc.c"
    cc -o "$work/cc" "$work/cc.c" -lpthread -ldl >"$work/cc.log" 2>&1 ||
        { echo "cc does not make a program: $(grep -m 1 error "$work/cc.log" || tail -n 1 "$work/cc.log")"; return 1; }
    [ "$("$work/cc" 2>&1)" = works ] || { echo "what cc makes does not run"; return 1; }
    runs ar --version && runs make --version
}

libclang_works() {
    printf '#include <stddef.h>\n#include <stdio.h>\n#include <sys/types.h>\nsize_t size;\n' >"$work/read.c"
    cc -o "$work/libclang" scripts/lib/libclang.c -ldl >"$work/cc.log" 2>&1 ||
        { echo "not to be checked without a C compiler"; return 1; }
    "$work/libclang" "$work/read.c"
}

nginx_works() { runs nginx -V; }

# A dynamic module fits one version of nginx, and what it was configured with.
nginx_dev_fits() {
    local source=/usr/share/nginx/src running headers flag
    [ -f "$source/conf_flags" ] && [ -x "$source/configure" ] ||
        { echo "nginx's headers ($source) were not found"; return 1; }
    has nginx || { echo "not to be compared with nginx, which was not found"; return 1; }
    running=$(nginx -V 2>&1)
    headers=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$source/src/core/nginx.h")
    [ "$headers" = "$(sed -n 's,^nginx version: .*/\([0-9.]*\).*,\1,p' <<<"$running")" ] ||
        { echo "the headers are of nginx $headers, and nginx is $(nginx -v 2>&1 | version)"; return 1; }
    # shellcheck source=/dev/null
    for flag in $(. "$source/conf_flags" && printf '%s\n' "${NGX_CONF_FLAGS[@]}"); do
        case $flag in
            *path=* | --prefix=*) continue ;; # no part of the binary interface
        esac
        grep -qF -- " $flag" <<<"$running" || { echo "nginx was built without $flag, which its headers have"; return 1; }
    done
    printf '#include <openssl/ssl.h>\n#include <zlib.h>\n#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n' >"$work/nginx.c"
    cc -fsyntax-only "$work/nginx.c" 2>"$work/cc.log" ||
        { echo "a header that nginx's include is missing: $(grep -m 1 error "$work/cc.log")"; return 1; }
}

nginx_loads_lua() {
    local folder=/usr/lib/nginx/modules
    there nginx || return 1
    cat >"$work/lua.conf" <<CONF
load_module $folder/ndk_http_module.so;
load_module $folder/ngx_http_lua_module.so;
pid lua.pid;
error_log stderr crit;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    init_by_lua_block { require "resty.core" }
}
CONF
    nginx -t -q -e stderr -p "$work/" -c "$work/lua.conf" >"$work/lua.log" 2>&1 ||
        { echo "nginx does not load the Lua module: $(head -n 1 "$work/lua.log")"; return 1; }
}

# perl_loads MODULE
perl_loads() {
    (cd "$work" && perl "-M$1" -e 1 >/dev/null 2>&1) || { echo "perl does not load $1"; return 1; }
}

valgrind_works() { runs valgrind -q --error-exitcode=9 true; }

faketime_works() {
    local library
    for library in /usr/lib/*/faketime/libfaketime.so.1; do
        [ -e "$library" ] || break
        [ "$(LD_PRELOAD=$library FAKETIME='2020-01-02 03:04:05' date +%Y 2>/dev/null)" = 2020 ] && return 0
    done
    echo "libfaketime.so.1 was not found, or does not change the time"
    return 1
}

# It says its version, and fails.
wrk_works() { [[ $(wrk -v 2>&1) == wrk* ]] || { echo "wrk was not found"; return 1; }; }

chinese_font() { runs fc-list --version && fc-list :lang=zh | grep -q . || { echo "no font has Chinese characters"; return 1; }; }

chromium_works() {
    local name
    for name in chromium chromium-browser google-chrome; do
        ! has "$name" || { runs "$name" --version; return; }
    done
    echo "chromium was not found"
    return 1
}

# --- What no package brings ------------------------------------------------

# The closest folder above a path that exists.
existing() {
    local folder=$1
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    printf '%s\n' "$folder"
}

writable() {
    local folder
    folder=$(existing "$1")
    [ -w "$folder" ] && [ -x "$folder" ] || { echo "$folder cannot be written to by $(id -un); $2"; return 1; }
}

# disk_space FOLDER GIGABYTES BUILT: less is needed when BUILT is there.
disk_space() {
    local free wanted=$2
    [ ! -e "$1/$3" ] || wanted=1
    free=$(df -Pk "$(existing "$1")" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "${free:-$wanted}" -ge "$wanted" ] ||
        { echo "$(existing "$1") has $free GB of free space, and $wanted GB are needed; make room, or name another folder with CARGO_TARGET_DIR"; return 1; }
}

# free_port VARIABLE DEFAULT: a server of this user could listen there.
free_port() {
    local port=${!1:-$2}
    # Kubernetes sets SECKILL_PORT=tcp://ADDRESS:PORT for a service called "seckill";
    # the back end ignores that too.
    [[ $port != *://* ]] || port=$2
    [[ $port =~ ^[0-9]{1,5}$ ]] && ((port >= 1 && port <= 65535)) ||
        { echo "$1 is \"$port\", and has to be a port from 1 to 65535"; return 1; }
    perl -MSocket -e '
        my $port = shift;
        socket my $s, PF_INET, SOCK_STREAM, 0 or exit 0;
        setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
        bind $s, sockaddr_in($port, INADDR_ANY) and listen $s, 1 and exit 0;
        print "port $port is ", $!{EACCES} ? "for root alone" : "in use by another program";
        exit 1' "$port" ||
        { echo "; choose another with $1, such as $1=$((port + 8000 < 65536 ? port + 8000 : port - 8000))"; return 1; }
}

# nginx and the addresses of Redis and database cannot take these signs of a path.
plain_data_path() {
    local path
    path=$(realpath -m "$1")
    case $path in
        *[\"\'\\\$\;{}\#%?]* | *$'\n'*)
            echo "the path $path has one of \" ' \\ \$ ; { } # % ?, which nginx, Redis or database cannot take; choose another folder with SECKILL_DATA"
            return 1
            ;;
    esac
}

# The kernel takes no longer path for a socket than 107 bytes.
short_data_path() {
    local path
    path=$(realpath -m "$1")/run/purchase.sock
    [ "$(printf '%s' "$path" | wc -c)" -le 107 ] ||
        { echo "the path of the socket $path is longer than 107 bytes; choose a shorter folder with SECKILL_DATA"; return 1; }
}
