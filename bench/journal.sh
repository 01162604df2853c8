#!/usr/bin/env bash
# How many requests a second the purchase journal takes, each on the disk before it is
# acknowledged, beside what this disk's bare fdatasync can do in the same run. FOLDER is
# on the disk that is measured (target).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

step "The purchase journal beside bare syncs, ten seconds"
cargo build --locked --quiet --release -p seckill --example journal_rate ||
    fail "the benchmark did not build; the compiler's message above says where"
disk=$(mktemp -d "${FOLDER:-target}/journal.XXXXXX")
target/release/examples/journal_rate "$disk" >"$work/rows.json" ||
    fail "the benchmark broke off; its words are above"
rm -rf "$disk"
perl -MJSON::PP -e 'local $/; for my $r (@{decode_json(<STDIN>)}) {
    print join("\t", $r->{name}, $r->{value}, $r->{unit}, $r->{goal} // "null", $r->{better}, $r->{peer}), "\n" }' \
    <"$work/rows.json" >"$work/rows.tsv"
while IFS=$'\t' read -r name value unit goal better peer; do
    row "$name" "$value" "$unit" "$goal" "$better" "$peer"
done <"$work/rows.tsv"
write_results journal
