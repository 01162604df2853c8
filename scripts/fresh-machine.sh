#!/usr/bin/env bash
# Shows that a newcomer's `make run` works: on a bare Debian, from a clean clone of
# the last commit, as root and as an ordinary user with sudo, in a folder with a
# space in its name; and once more without a network.
#   scripts/fresh-machine.sh [--test] [--user root|newcomer] [RELEASE...]
#
# Without a RELEASE: bookworm and trixie; without --user: both.
# --test also runs `make test` there, twice. Needs root and debootstrap, a network for
# packages, and 12 GB in target/fresh. It takes some ten minutes for each user and
# release, and prints a table: release, user, part, seconds, result.
#
# A release lives in a folder, with processes and mounts of its own, so that
# nothing of it is left when its part ends. It has what debootstrap's "minbase"
# has, and besides only what it takes to have come so far: git, make and sudo. Rust
# is this machine's toolchain, as rustup would have put it there; rustup itself
# fetches from a host that not every network lets through. The settings by which
# this machine reaches its package mirrors (apt's, cargo's, certificates, proxies)
# hold there too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

use="use: scripts/fresh-machine.sh [--test] [--user root|newcomer] [RELEASE...]"
parts=(run offline)
users=(root newcomer)
releases=()
while [ $# -gt 0 ]; do
    case $1 in
        --test) parts+=(test again) ;;
        --user)
            case ${2:-} in
                root | newcomer) users=("$2") ;;
                *) fail "unknown user \"${2:-}\"; $use" ;;
            esac
            shift
            ;;
        -*) fail "unknown option \"$1\"; $use" ;;
        *) releases+=("$1") ;;
    esac
    shift
done
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie)
[ "$(id -u)" -eq 0 ] || fail "this makes folders with devices and changes their root; run it as root"
command -v debootstrap >/dev/null || fail "debootstrap is missing; install it with: apt-get install debootstrap"

place=$PWD/target/fresh
mkdir -p "$place"
table=$place/table
: >"$table"
rust=$(rustc --print sysroot)
clone="a newcomer/seckill"

# --- The bare machine ------------------------------------------------------

# shellcheck disable=SC2016 # apt fills in what looks like a variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
[ -n "$mirror" ] || fail "apt knows no Debian mirror"

# An archive of the bare release, made once.
archive() {
    [ ! -e "$place/$1.tar" ] || return 0
    step "Fetching a bare Debian $1"
    rm -rf "${place:?}/$1"
    debootstrap --variant=minbase --include=git,make,sudo,ca-certificates "$1" "$place/$1" "$mirror" >"$place/$1.log" 2>&1 ||
        fail "debootstrap failed: see $place/$1.log"
    tar -C "$place/$1" -cf "$place/$1.tar.new" .
    mv "$place/$1.tar.new" "$place/$1.tar"
    rm -rf "${place:?}/$1"
}

# The settings by which this machine reaches its mirrors: settings ROOT HOME
settings() {
    local root=$1 home=$2 file
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        ! grep -qE '^ *Acquire::' "$file" 2>/dev/null || cp "$file" "$root/etc/apt/apt.conf.d/99host-$(basename "$file")"
    done
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/host.crt"
    mkdir -p "$home/.cargo" "$home/.m2"
    for file in .cargo/config.toml .npmrc .m2/settings.xml; do
        [ ! -e "$HOME/$file" ] || cp "$HOME/$file" "$home/$file"
    done
    {
        # As "declare -x NAME=VALUE" lines, quoted by the shell.
        export -p | grep -E '^declare -x (([a-z]+|[A-Z]+)_(proxy|PROXY)|CARGO_(HTTP|REGISTR|SOURCE)[A-Z_]*)=' || true
        printf 'export %s=/etc/ssl/host.crt\n' SSL_CERT_FILE CARGO_HTTP_CAINFO NODE_EXTRA_CA_CERTS
        # Java has a store of its own.
        ! cp -L /etc/ssl/certs/java/cacerts "$root/etc/ssl/host.jks" 2>/dev/null ||
            echo 'export MAVEN_OPTS="-Djavax.net.ssl.trustStore=/etc/ssl/host.jks -Djavax.net.ssl.trustStorePassword=changeit"'
    } >"$root/etc/host.sh"
}

# --- What happens there ----------------------------------------------------

# The newcomer's session: newcomer.sh PART. Says "SECONDS RESULT" in its last line.
session() {
    cat <<'SESSION'
set -euo pipefail
. /etc/host.sh
export PATH=/opt/rust/bin:/usr/local/bin:/usr/bin:/bin
[ "$(id -u)" -ne 0 ] || PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd "$HOME/$1"
part=$2
log=$HOME/$part.log
began=$(date +%s.%N)
result() {
    awk -v a="$began" -v b="$(date +%s.%N)" -v r="$1" 'BEGIN { printf "%.0f %s\n", b - a, r }'
    exit
}
case $part in
    test | again)
        make test >"$log" 2>&1 </dev/null && result "$(tail -n 1 "$log")" || result "FAILED: $(tail -n 1 "$log")"
        ;;
esac
set -m # Ctrl-C reaches all of it
make run >"$log" 2>&1 </dev/null &
make=$!
set +m
until grep -q 'Seckill is up' "$log"; do
    kill -0 "$make" 2>/dev/null || result "FAILED: $(grep -E '^seckill:|^error' "$log" | tail -n 1)"
    sleep 0.2
done
up=$(date +%s.%N)
page=$(perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die "no answer\n";
    print $s "GET / HTTP/1.0\r\n\r\n"; print scalar <$s>' "${SECKILL_PORT:-8080}" 2>&1) || true
kill -INT -- "-$make"
wait "$make" || true
left=$(cat /proc/[0-9]*/comm 2>/dev/null | grep -E '^(nginx|redis-server|seckill)$' || true)
began=$(awk -v a="$began" -v b="$up" -v now="$(date +%s.%N)" 'BEGIN { printf "%.3f", now - (b - a) }')
[[ $page == *" 200 "* ]] || result "FAILED: the start page says $page"
[ -z "$left" ] || result "FAILED: left running after Ctrl-C: $left"
result up
SESSION
}

inside=
interrupted() {
    # All in there ends with it; it heeds no gentler signal.
    [ -z "$inside" ] || kill -KILL "$inside"
    exit "$1"
}
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP

# part RELEASE USER PART: with mounts, processes and, offline, a network of its own.
part() {
    local release=$1 user=$2 part=$3 root home own=() said log
    root=$place/$release-$user
    home=/root
    [ "$user" = root ] || home=/home/$user
    [ "$part" != offline ] || own=(--net)
    local ports=()
    # The network is this machine's, and others may use its ports.
    [ "$part" = offline ] || ports=(SECKILL_PORT="$(free_ports 1)" SECKILL_CONSOLE_PORT="$(free_ports 1)")
    log=$place/$release-$user-$part
    step "$release, $user: $part"
    set -m # Ctrl-C is for this script, which then ends the other
    # shellcheck disable=SC2016 # for the shell inside
    unshare --mount --pid --fork --kill-child=KILL "${own[@]}" bash -c '
        set -e
        root=$1 rust=$2 user=$3 net=$4
        shift 4
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/dev/shm"
        mount --bind "$rust" "$root/opt/rust"
        [ -z "$net" ] || ip link set lo up
        exec chroot "$root" su - "$user" -s /bin/bash -c "$(printf "%q " "$@")"
    ' inside "$root" "$rust" "$user" "${own[*]}" env "${ports[@]}" bash /usr/local/lib/newcomer.sh "$clone" "$part" \
        >"$log.out" 2>"$log.err" </dev/null &
    inside=$!
    set +m
    wait "$inside" || true
    inside=
    said=$(tail -n 1 "$log.out")
    cp "$root$home/$part.log" "$log.log" 2>/dev/null || true
    [ -n "$said" ] || said="- FAILED: $(tail -n 1 "$log.err")"
    printf '%s|%s|%s|%s|%s\n' "$release" "$user" "$part" "${said%% *}" "${said#* }" >>"$table"
    tail -n 1 "$table"
}

for release in "${releases[@]}"; do
    archive "$release"
    for user in "${users[@]}"; do
        root=$place/$release-$user
        rm -rf "$root"
        mkdir -p "$root"
        tar -C "$root" -xpf "$place/$release.tar"
        mkdir -p "$root/opt/rust"
        home=$root/root
        if [ "$user" != root ]; then
            home=$root/home/$user
            chroot "$root" useradd --create-home --shell /bin/bash "$user"
            printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$user" >"$root/etc/sudoers.d/newcomer"
        fi
        settings "$root" "$home"
        session >"$root/usr/local/lib/newcomer.sh"
        mkdir -p "$home/${clone%/*}"
        git clone -q --no-hardlinks . "$home/$clone"
        [ "$user" = root ] || chroot "$root" chown -R "$user:" "/home/$user"
        for part in "${parts[@]}"; do part "$release" "$user" "$part"; done
        rm -rf "$root"
    done
done

printf '\n%-10s %-10s %-8s %8s  %s\n' release user part seconds result
failed=
while IFS='|' read -r release user part seconds result; do
    printf '%-10s %-10s %-8s %8s  %s\n' "$release" "$user" "$part" "$seconds" "$result"
    [[ $result != FAILED* ]] || failed=yes
done <"$table"
[ -z "$failed" ]
