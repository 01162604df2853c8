#!/usr/bin/env bash
# Formatting and lints of everything here; changes nothing and starts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

scripts/install.sh test
step "Formatting (cargo fmt)"
cargo fmt --all --check || fail "some files are not formatted; run: cargo fmt --all"
step "Layers: no circle, no arrow that runs up (scripts/layers.pl)"
scripts/layers.pl --test || fail "scripts/layers.pl does not find what it should; see above"
scripts/layers.pl ||
    fail "a module uses what it may not; see above, and lib.rs of that crate for the order"
step "Documents: links, paths, commands and settings that are not there (scripts/check-docs)"
scripts/check-docs --test || fail "scripts/check-docs does not find what it should; see above"
scripts/check-docs || fail "the documents name what is not there; see above"
step "Lints of the rules, the back end and the load generator (cargo clippy)"
cargo clippy --locked --workspace --exclude seckill-nginx-module --all-targets -- -D warnings ||
    fail "clippy has something to say; see above"
step "Lints of the nginx module (cargo clippy)"
scripts/module.sh cargo clippy --locked -p seckill-nginx-module -- -D warnings ||
    fail "clippy has something to say about the module; see above"
step "Shell scripts (shellcheck)"
mapfile -t shells < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run)
shellcheck -x -S warning "${shells[@]}" || fail "shellcheck has something to say; see above"
step "Test suites (perl -c)"
for suite in t/*.t; do
    perl -It/lib -c "$suite" 2>&1 | grep -v 'syntax OK$' >&2 && fail "$suite does not compile; see above"
done
step "Nothing to complain about"
