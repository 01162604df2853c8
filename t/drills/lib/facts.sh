# shellcheck shell=bash
# shellcheck disable=SC2034 # the drill ends with $failed
# How a drill says what it found: one PASS or FAIL line a fact, with the numbers.
# Sourced after scripts/lib/steps.sh.

failed=0

# fact TITLE EXPECTED SEEN: one line of the result.
fact() {
    if [ "$2" = "$3" ]; then
        printf 'PASS %s: %s\n' "$1" "$3"
    else
        printf 'FAIL %s: %s instead of %s\n' "$1" "$3" "$2"
        failed=1
    fi
}

# within TITLE LOW HIGH SEEN: a fact that is a range of whole numbers.
within() {
    if [ "$4" -ge "$2" ] && [ "$4" -le "$3" ]; then
        printf 'PASS %s: %s (%s to %s)\n' "$1" "$4" "$2" "$3"
    else
        printf 'FAIL %s: %s instead of %s to %s\n' "$1" "$4" "$2" "$3"
        failed=1
    fi
}
