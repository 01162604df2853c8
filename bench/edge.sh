#!/usr/bin/env bash
# All ratios of the edge: runs the benchmarks of its parts and gathers their rows
# in bench/results/edge.json.
#
# ROUNDS and SECONDS_EACH change how long it takes; the exit status does not
# depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

parts=(gate latency)
results=()
for part in "${parts[@]}"; do
    "bench/$part.sh"
    results+=("bench/results/$part.json")
done

perl -MJSON::PP -e '
    my ($all, @rows);
    for my $file (@ARGV) {
        open my $in, "<", $file or die "$file: $!\n";
        $all = decode_json(do { local $/; <$in> });
        push @rows, @{ $all->{rows} };
    }
    $all->{rows} = \@rows;
    print JSON::PP->new->canonical->pretty->encode($all);
' "${results[@]}" >bench/results/edge.json.new ||
    fail "the results of ${parts[*]} cannot be gathered from bench/results"
mv bench/results/edge.json.new bench/results/edge.json
step "All of them: bench/results/edge.json"
