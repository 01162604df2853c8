# shellcheck shell=bash
# Long builds that say how far they are. Sourced after steps.sh, in the
# repository's folder.

# What is built of this workspace; each with all it depends on.
# shellcheck disable=SC2034 # for those who source this
trial_packages=(-p seckill -p seckill-load -p seckill-nginx-module)

# cargo_shown NAME ARGUMENT...: `cargo build`, or `cargo test --no-run`, in the
# profile "trial" with these further arguments. On a terminal cargo draws a bar of
# its own; elsewhere there is a line every 15 seconds. What the last whole build
# took is kept under NAME in target/.
cargo_shown() {
    local name=$1
    shift
    local command=(cargo build)
    [ "$name" = build ] || command=(cargo test --no-run)
    command+=(--profile trial --locked "$@")
    if [ -t 2 ]; then
        "${command[@]}"
        return
    fi
    local kept=${CARGO_TARGET_DIR:-target}/trial/$name edges=normal,build
    [ "$name" = build ] || edges=all
    mkdir -p "${kept%/*}"
    # Fetches the sources too, unless they are here.
    cargo tree --quiet --locked --edges "$edges" --prefix none --format '{p}' "$@" >"$kept.packages" 2>/dev/null || true
    # Whatever becomes of the lines, cargo can go on writing.
    "${command[@]}" --quiet --message-format=json-render-diagnostics | {
        perl scripts/lib/progress.pl "$kept.packages" "$kept.seconds" || true
        cat >/dev/null
    }
    return "${PIPESTATUS[0]}"
}
