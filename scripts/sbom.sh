#!/usr/bin/env bash
# Lists what is in an image (SBOM, CycloneDX): Debian's packages as they are installed in
# it, by debsbom, and the crates of which our part is made, by cargo-sbom.
#   scripts/sbom.sh IMAGE CRATE FILE
#
# podman or docker (CONTAINER_TOOL chooses) must have the image. Both tools are installed
# into target/sbom.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/containers.sh
. scripts/lib/containers.sh

[ $# -eq 3 ] || fail "use: scripts/sbom.sh IMAGE CRATE FILE"
image=$1 crate=$2 file=$3
choose_tool
tools=$PWD/target/sbom
mkdir -p "$tools"

if [ ! -x "$tools/python/bin/debsbom" ]; then
    step "Installing debsbom"
    python3 -m venv "$tools/python" >"$tools/log" 2>&1 && "$tools/python/bin/pip" install 'debsbom[cdx]==0.10.2' >>"$tools/log" 2>&1 ||
        fail "debsbom was not installed (needs python3-venv, Python 3.11 or newer): see $tools/log"
fi
if [ ! -x "$tools/bin/cargo-sbom" ]; then
    step "Installing cargo-sbom"
    cargo install cargo-sbom --version 0.10.0 --locked --root "$tools" >"$tools/log" 2>&1 ||
        fail "cargo-sbom was not installed: see $tools/log"
fi

container=$("$tool" create "$image")
trap '"$tool" rm "$container" >/dev/null 2>&1' EXIT
"$tool" export "$container" |
    "$tools/python/bin/debsbom" generate -r - -t cdx --distro-name packages -o "$tools/packages"
"$tools/bin/cargo-sbom" --cargo-package "$crate" --output-format cyclone_dx_json_1_6 >"$tools/crates.cdx.json"
"$tools/python/bin/debsbom" merge -t cdx --distro-name "image-${image##*/}" -o "$tools/merged" \
    "$tools/packages.cdx.json" "$tools/crates.cdx.json"

count() { grep -o "\"purl\": *\"pkg:$1/" "$tools/merged.cdx.json" | wc -l; }
packages=$(count deb) crates=$(count cargo)
[ "$packages" -gt 0 ] && [ "$crates" -gt 0 ] ||
    fail "the list names $packages packages and $crates crates, so that something was not read: see $tools"
mv "$tools/merged.cdx.json" "$file"
step "$file: $packages packages of Debian (with their sources), $crates crates"
