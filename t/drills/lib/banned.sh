# shellcheck shell=bash
# shellcheck disable=SC2154 # $work, $seckill and the shop are the drill's
# A program that is banned while it goes on, and what the edge tells it. Sourced
# after scripts/lib/{steps,shop}.sh and t/drills/lib/{facts,sale}.sh.
#
# What a drill gives: $work, a folder.

# session USER: logs in; prints the cookie.
session() {
    curl -fsS -D - -o "$work/answer" -H 'Content-Type: application/json' -d "{\"user\":\"$1\"}" "$shop_url/api/session" |
        sed -n 's/^[Ss]et-[Cc]ookie: *\([^;]*\).*/\1/p'
}
# told SESSION ROUND: what the edge says when he asks for his purchase URL.
told() { curl -sS -b "$1" "$shop_url/api/rounds/$2/products/1/path" | sed 's/.*"code":"\([^"]*\)".*/\1/'; }

# is_banned_while_it_goes_on ROUND USER: forges URLs as fast as it can until the
# edge refuses it. A fact: how long that takes from the decision to ban. Printed: how
# long from its first forged URL, which is a matter of how fast it can go on.
is_banned_while_it_goes_on() {
    local round=$1 user=$2 session path wrong=A refused decided n=0 first=
    session=$(session "$user")
    path=$(curl -fsS -b "$session" "$shop_url/api/rounds/$round/products/1/path" | sed 's/.*"path":"\([^"]*\)".*/\1/')
    [ "${path: -1}" != A ] || wrong=B
    is_refused() {
        n=$((n + 1))
        [ "$n" -gt 1 ] || first=$(date +%s%3N)
        [ "$n" -gt 40 ] || curl -sS -o "$work/answer" -b "$session" -X POST -H "Idempotency-Key: $user-$n" "$shop_url${path%?}$wrong"
        [ "$(told "$session" "$round")" = blocked ]
    }
    if ! poll_until 30 is_refused; then
        fact "whether the edge refuses it in the end" yes no
        return 0
    fi
    refused=$(date +%s%3N)
    "$seckill" bans list --json >"$work/bans.json"
    # shellcheck disable=SC2016 # Perl's variables
    decided=$(USER_BANNED=$user json "$work/bans.json" '(map { $_->{at_ms} } grep { $_->{value} eq $ENV{USER_BANNED} } @$j)[0] // 0')
    within "ms from the decision to ban a program until the edge refuses it" 0 1000 $((refused - decided))
    printf '   that was %s ms after its first forged URL, of %s\n' $((refused - first)) "$n"
}
