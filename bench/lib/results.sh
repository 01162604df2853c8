# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is the benchmark's
# Rows of results, and the file that they make. Sourced after scripts/lib/steps.sh.
#
# What a benchmark gives: $work, a folder.

# row NAME VALUE UNIT GOAL BETTER PEER: notes a result; GOAL may be null.
row() {
    printf '    {"name": "%s", "value": %s, "unit": "%s", "goal": %s, "better": "%s", "peer": "%s"}\n' "$@" >>"$work/rows"
}

# write_results NAME: the rows so far, as bench/results/NAME.json.
write_results() {
    local cpu_model
    cpu_model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    mkdir -p bench/results
    cat >"bench/results/$1.json" <<JSON
{
  "machine": {
    "cpu": "${cpu_model:-unknown}",
    "cores": $(cores | wc -l),
    "kernel": "$(uname -r)",
    "nginx": "$(nginx -v 2>&1 | sed 's/.*nginx\///')",
    "commit": "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)",
    "at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  },
  "rows": [
$(sed '$!s/$/,/' "$work/rows")
  ]
}
JSON
    step "Written to bench/results/$1.json"
}
