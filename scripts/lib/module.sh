# shellcheck shell=bash
# The nginx that the module is built for, and the place of the built module.
# Sourced after steps.sh, in the repository's folder.

debian_nginx=/usr/share/nginx/src
module_folder=$PWD/target/nginx

# A string as a shell, and the reader of nginx's Makefile, takes it for one word.
quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# configure_nginx SOURCE OBJS STAMP: writes the headers that nginx's configure makes
# into OBJS, again only when STAMP, its flags, or the place changed. SOURCE is what
# Debian's nginx-dev has in /usr/share/nginx/src.
configure_nginx() {
    local source=$1 objs=$2 stamp made makefile place
    stamp=$(printf '%s\n' "$3"; cksum <"$source/conf_flags"; printf '%s\n' "$objs")
    [ "$(cat "$objs/.made_for" 2>/dev/null)" != "$stamp" ] || return 0
    step "Configuring the headers of $3 in ${objs#"$PWD/"}"
    rm -rf "$objs"
    mkdir -p "${objs%/*}"
    # nginx's configure cannot write into a folder with a space in its path.
    made=$(TMPDIR=/tmp mktemp -d)
    # It reads its parts relative to its own folder and writes only into the
    # build directory.
    (
        cd "$source"
        NGX_CONF_FLAGS=()
        # shellcheck source=/dev/null
        . ./conf_flags
        ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$made/objs"
    ) >"$objs-configure.log" 2>&1 || {
        rm -rf "$made"
        fail "nginx's configure failed: see $objs-configure.log; the usual cure is: scripts/install.sh run"
    }
    # Its Makefile names the folder, and is read for the places of the headers.
    place=$(quoted "$objs")
    makefile=$(<"$made/objs/Makefile")
    printf '%s\n' "${makefile//"$made/objs"/"$place"}" >"$made/objs/Makefile"
    cp -R "$made/objs" "$objs"
    rm -rf "$made"
    [ -s "$objs/ngx_auto_config.h" ] ||
        fail "nginx's configure made no ngx_auto_config.h: see $objs-configure.log"
    printf '%s\n' "$stamp" >"$objs/.made_for"
}

configure_debian_nginx() {
    [ -f "$debian_nginx/conf_flags" ] ||
        fail "$debian_nginx/conf_flags is missing; install it with: scripts/install.sh run"
    configure_nginx "$debian_nginx" "$module_folder/objs" "$(nginx -v 2>&1 | sed 's/.*: //')"
}

# Exports where the headers are: Debian's, unless both variables name others.
choose_nginx() {
    if [ -z "${NGINX_SOURCE_DIR:-}" ] && [ -z "${NGINX_BUILD_DIR:-}" ]; then
        configure_debian_nginx
        export NGINX_SOURCE_DIR=$debian_nginx NGINX_BUILD_DIR=$module_folder/objs
    elif [ -z "${NGINX_SOURCE_DIR:-}" ] || [ -z "${NGINX_BUILD_DIR:-}" ]; then
        fail "set both NGINX_SOURCE_DIR and NGINX_BUILD_DIR, or neither for Debian's nginx"
    fi
}

# Puts what cargo built in this profile to where nginx finds it: place_module PROFILE
place_module() {
    local built=${CARGO_TARGET_DIR:-target}/$1/libngx_http_seckill_module.so
    local module=$module_folder/ngx_http_seckill_module.so
    mkdir -p "$module_folder"
    # A new file under the old name: writing into the old one would change the
    # code under the feet of an nginx that runs it.
    if ! cmp -s "$built" "$module"; then
        cp "$built" "$module.new"
        mv "$module.new" "$module"
    fi
}
