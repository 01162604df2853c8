# shellcheck shell=bash
# shellcheck disable=SC2154 # $work, $seckill and the shop are the drill's
# Bots among people: who was found, who was banned, and how soon. Sourced after
# scripts/lib/{steps,shop}.sh and t/drills/lib/{facts,sale}.sh.
#
# What a drill gives: $work, a folder.

# banned ROUND: who is banned now, of those who came to this round: "group banned
# of-all items" a line.
banned() {
    "$seckill" bans list --json >"$work/bans.json"
    perl -MJSON::PP -e '
        sub slurp { local (@ARGV, $/) = @_; decode_json(<>) }
        my ($bans, $report) = map { slurp($_) } @ARGV;
        my %banned = map { my $v = $_->{value}; $v =~ s{/32$}{}; ("$_->{kind} $v" => 1) } @$bans;
        my (%n, %all, %items);
        for (@{$report->{actors}}) {
            $all{$_->{group}}++;
            $items{$_->{group}}++ if $_->{ordered};
            $n{$_->{group}}++ if $banned{"user $_->{user}"} || $banned{"address " . ($_->{address} // "")};
        }
        printf "%s %d %d %d\n", $_, $n{$_} // 0, $all{$_}, $items{$_} // 0 for sort keys %all;' "$work/bans.json" "$work/$1.json"
}
# found ROUND: who is a finding now, whatever was decided, the account or its address:
# "group found of-all" a line.
found() {
    "$seckill" findings list --limit 100000 --json >"$work/findings.json"
    perl -MJSON::PP -e '
        sub slurp { local (@ARGV, $/) = @_; decode_json(<>) }
        my ($findings, $report) = map { slurp($_) } @ARGV;
        my %found = map { ("$_->{kind} $_->{subject}" => 1) } @$findings;
        my (%n, %all);
        for (@{$report->{actors}}) {
            $all{$_->{group}}++;
            $n{$_->{group}}++ if $found{"user $_->{user}"} || $found{"address " . ($_->{address} // "")};
        }
        printf "%s %d %d\n", $_, $n{$_} // 0, $all{$_} for sort keys %all;' "$work/findings.json" "$work/$1.json"
}
# Of such a file, the sum of a column: of people, of the bots that do something
# that a person does not, of those that do nothing of the kind.
is_person='$1 == "shopper" || $1 == "office" || $1 == "hard"'
of_people() { awk -v c="$2" "$is_person"' { n += $c } END { print n + 0 }' "$1"; }
of_bots() { awk -v c="$2" '!('"$is_person"' || $1 == "careful") { n += $c } END { print n + 0 }' "$1"; }
of_careful() { awk -v c="$2" '$1 == "careful" { n += $c } END { print n + 0 }' "$1"; }
# Why people were found, for whoever has to mend a rule.
people_found() {
    perl -MJSON::PP -e 'local $/; my $f = decode_json(<>);
        for (grep { $_->{subject} =~ /^s/ } @$f) { print "     $_->{state} $_->{subject}: ", join("; ", map { $_->{sentence} } @{$_->{reasons}}), "\n" }' \
        "$work/findings.json"
}

# --- One program more ------------------------------------------------------

# session USER: logs in; prints the cookie.
session() {
    curl -fsS -D - -o "$work/answer" -H 'Content-Type: application/json' -d "{\"user\":\"$1\"}" "$shop_url/api/session" |
        sed -n 's/^[Ss]et-[Cc]ookie: *\([^;]*\).*/\1/p'
}
# verdict_of SESSION ROUND: the response of the edge to the request for the purchase URL.
verdict_of() { curl -sS -b "$1" "$shop_url/api/rounds/$2/products/1/path" | sed 's/.*"code":"\([^"]*\)".*/\1/'; }

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
        [ "$(verdict_of "$session" "$round")" = blocked ]
    }
    if ! poll_until 30 is_refused; then
        fact "whether the edge refuses it in the end" yes no
        return 0
    fi
    refused=$(date +%s%3N)
    "$seckill" bans list --json >"$work/bans.json"
    # shellcheck disable=SC2016 # Perl's variables
    decided=$(USER_BANNED=$user json "$work/bans.json" '(map { $_->{at_ms} } grep { $_->{value} eq $ENV{USER_BANNED} } @$j)[0] // 0')
    # A ban is renewed while its reasons last: then it was decided before this.
    [ "$refused" -gt "$decided" ] || decided=$refused
    within "ms from the decision to ban a program until the edge refuses it" 0 1000 $((refused - decided))
    printf '   that was %s ms after its first forged URL, of %s\n' $((refused - first)) "$n"
}
