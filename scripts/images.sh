#!/usr/bin/env bash
# Builds the container images seckill and seckill-edge from the packages, with podman
# or docker (CONTAINER_TOOL chooses).
#   scripts/images.sh [--bare]
#
# BASE names the image they stand on (debian:12-slim). --bare makes that one too, of a
# bare Debian in target/bare, where no registry can be reached; needs root and
# debootstrap. Prints the images with their sizes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/bare.sh
. scripts/lib/bare.sh
# shellcheck source=scripts/lib/containers.sh
. scripts/lib/containers.sh

base=${BASE:-debian:12-slim}
case ${1:-} in
    --bare) base=localhost/debian:12 ;;
    '') ;;
    *) fail "unknown option \"$1\"; use: scripts/images.sh [--bare]" ;;
esac
choose_tool

# The bare Debian as an image; made again when the archive is.
bare_base() {
    local bare=$PWD/target/bare stamp
    bare_needed
    bare_archive "$bare" bookworm ca-certificates
    stamp=$(stat -c %Y "$bare/bookworm.tar")
    [ "$(image_label "$base" made-of)" != "$stamp" ] || return 0
    step "Making the image $base"
    bare_unpack "$bare" bookworm "$bare/image"
    tar -C "$bare/image" -c . | "$tool" import --change "LABEL made-of=$stamp" - "$base" >/dev/null
    rm -rf "$bare/image"
}

scripts/packages.sh bookworm
[ "$base" != localhost/debian:12 ] || bare_base
version=${SECKILL_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1}
architecture=$(dpkg --print-architecture)
context=$PWD/target/images
mkdir -p "$context"
rm -f "$context"/*.deb
cp "target/packages/seckill_${version}_$architecture.deb" \
    "target/packages/libnginx-mod-http-seckill_$version+deb12_$architecture.deb" "$context/"

step "Building the images"
image seckill-packages docker/packages.Dockerfile "$context" --build-arg "VERSION=$version" --build-arg "ARCHITECTURE=$architecture"
image seckill docker/seckill.Dockerfile docker --build-arg "BASE=$base" --build-arg PACKAGES=localhost/seckill-packages
image seckill-edge docker/edge.Dockerfile docker --build-arg "BASE=$base" --build-arg PACKAGES=localhost/seckill-packages
for name in "$base" localhost/seckill localhost/seckill-edge; do
    printf '   %8.1f MB  %s\n' "$("$tool" image inspect --format '{{.Size}}' "$name" | awk '{ print $1 / 1e6 }')" "$name"
done
