# shellcheck shell=bash
# The parts of a Debian package, and what other releases have. Sourced after
# steps.sh, in the repository's folder, with $place, $architecture and
# SOURCE_DATE_EPOCH set.
: "${place:?}" "${architecture:=$(dpkg --print-architecture)}"

# Whether this folder is a clone; an archive of the sources may lie in another one.
is_clone() { git ls-files --error-unmatch Cargo.toml >/dev/null 2>&1; }
# The files below these paths that belong to the sources, each ended by a zero byte. Whoever
# unpacked an archive has no others.
source_files() { if is_clone; then git ls-files -z "$@"; else find "$@" -type f -print0; fi; }
# The time of the sources: of the last commit, or of a file that every release writes.
source_time() { if is_clone; then git log -1 --format=%ct; else stat -c %Y Cargo.lock; fi; }

# The number of a release, as Debian's own packages have it in their versions.
release_number() {
    case $1 in
        bookworm) echo 12 ;;
        trixie) echo 13 ;;
        forky) echo 14 ;;
        *) fail "no Debian release \"$1\" is known here; use: bookworm, trixie" ;;
    esac
}

# The mirror that apt uses here.
debian_mirror() {
    # shellcheck disable=SC2016 # apt fills in what looks like a variable
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1
}

# An apt of its own for another release: private_apt FOLDER RELEASE. Nothing of it is
# ever installed here.
private_apt() {
    local mirror
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror"
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$2" >"$1/sources.list"
    : >"$1/status"
}
private_options() {
    private=(-q -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$1/lists" -o "Dir::State::status=$1/status" -o "Dir::Cache=$1/cache"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
        -o "APT::Sandbox::User=$(id -un)")
}
apt_of() { local private; private_options "$1"; apt-get "${private[@]}" "${@:2}"; }
apt_cache_of() { local private; private_options "$1"; apt-cache "${private[@]}" "${@:2}"; }

# The packages with the shared libraries that a program or module needs.
shared_libraries() {
    local work said
    work=$(mktemp -d)
    mkdir "$work/debian"
    printf 'Source: seckill\n\nPackage: seckill\nArchitecture: any\nDescription: none\n' >"$work/debian/control"
    said=$(cd "$work" && dpkg-shlibdeps -O --ignore-missing-info -e "$1" 2>"$work/said") || {
        cat "$work/said" >&2
        rm -rf "$work"
        fail "dpkg-shlibdeps cannot tell what $1 needs; see above"
    }
    rm -rf "$work"
    [[ $said == shlibs:Depends=* ]] || fail "dpkg-shlibdeps says nothing of $1"
    printf '%s\n' "${said#shlibs:Depends=}"
}

# The licence, the changes, and what was compiled in: documents ROOT PACKAGE
documents() {
    local to=$1/usr/share/doc/$2
    mkdir -p "$to"
    {
        printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n'
        printf 'Files: *\nCopyright: the authors of Seckill\nLicense: Apache-2.0\n'
        printf ' On Debian systems the licence is in /usr/share/common-licenses/Apache-2.0.\n'
        printf ' The crates that are compiled in, each with its licence, are in crates.txt.\n'
    } >"$to/copyright"
    gzip -9n <CHANGELOG.md >"$to/changelog.gz"
    local crate=seckill
    [ "$2" = seckill ] || crate=seckill-nginx-module
    cargo tree --quiet --locked --edges normal,build --prefix none --format '{p} {l}' -p "$crate" |
        sed -e 's| ([^)]*)||g' | sort -u >"$to/crates.txt"
    chmod 644 "$to"/*
}

# The maintainer's scripts: scripts_of ROOT FROM
scripts_of() {
    local script
    mkdir -p "$1/DEBIAN"
    for script in postinst prerm postrm; do install -m 755 "$2/$script" "$1/DEBIAN/$script"; done
    [ ! -e "$2/conffiles" ] || install -m 644 "$2/conffiles" "$1/DEBIAN/conffiles"
}

# control_of ROOT FROM VERSION DEPENDS ABI RELEASE
control_of() {
    local text size
    size=$(du -k -s --apparent-size --exclude=DEBIAN "$1" | cut -f 1)
    text=$(<"$2/control")
    text=${text//@VERSION@/$3}
    text=${text//@ARCHITECTURE@/$architecture}
    text=${text//@SIZE@/$size}
    text=${text//@DEPENDS@/$4}
    text=${text//@ABI@/$5}
    text=${text//@RELEASE@/$6}
    printf '%s\n' "$text" >"$1/DEBIAN/control"
    (cd "$1" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$1/DEBIAN/md5sums"
    chmod 644 "$1/DEBIAN/control" "$1/DEBIAN/md5sums"
}

# deb ROOT NAME: the package, into target/packages.
deb() {
    find "$1" -type d -exec chmod 755 {} +
    dpkg-deb --root-owner-group -Zxz --build "$1" "$place/$2" >/dev/null || fail "dpkg-deb could not build $2"
}
