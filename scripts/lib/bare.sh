# shellcheck shell=bash
# Bare Debians in folders. Sourced after steps.sh.

# bare_needed: why none can be made here, as a failure.
bare_needed() {
    [ "$(id -u)" -eq 0 ] || fail "this makes folders with devices and changes their root; run it as root"
    command -v debootstrap >/dev/null || fail "debootstrap is missing; install it with: apt-get install debootstrap"
}

# bare_archive FOLDER RELEASE PACKAGES: FOLDER/RELEASE.tar, made once.
bare_archive() {
    local folder=$1 release=$2 mirror
    [ ! -e "$folder/$release.tar" ] || return 0
    # shellcheck disable=SC2016 # apt fills in what looks like a variable
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror"
    step "Fetching a bare Debian $release"
    mkdir -p "$folder"
    rm -rf "${folder:?}/$release"
    debootstrap --variant=minbase --include="$3" "$release" "$folder/$release" "$mirror" >"$folder/$release.log" 2>&1 ||
        fail "debootstrap failed: see $folder/$release.log"
    tar -C "$folder/$release" -cf "$folder/$release.tar.new" .
    mv "$folder/$release.tar.new" "$folder/$release.tar"
    rm -rf "${folder:?}/$release"
}

# bare_unpack FOLDER RELEASE ROOT: a new machine, with this one's way to its mirrors.
bare_unpack() {
    local file root=$3
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xpf "$1/$2.tar"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        ! grep -qE '^ *Acquire::' "$file" 2>/dev/null || cp "$file" "$root/etc/apt/apt.conf.d/99host-$(basename "$file")"
    done
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/host.crt"
    {
        # As "declare -x NAME=VALUE" lines, quoted by the shell.
        export -p | grep -E '^declare -x ([a-z]+|[A-Z]+)_(proxy|PROXY)=' || true
        printf 'export SSL_CERT_FILE=/etc/ssl/host.crt\n'
    } >"$root/etc/host.sh"
}

# bare_session ROOT COMMAND...: in the bare machine, with processes, mounts and a
# network of its own kind: what it started ends with it. NET=own has no network.
bare_session() {
    local root=$1 own=()
    shift
    [ "${NET:-}" != own ] || own=(--net)
    # shellcheck disable=SC2016 # for the shell inside
    unshare --mount --pid --fork --kill-child=KILL "${own[@]}" bash -c '
        set -e
        root=$1 net=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/dev/shm"
        [ -z "$net" ] || ip link set lo up
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            chroot "$root" "$@"
    ' inside "$root" "${own[*]}" "$@"
}
