# shellcheck shell=bash
# shellcheck disable=SC2154 # $work, $seckill and the shop are the drill's
# Rounds for drills, and what load generators say of them. Sourced after
# scripts/lib/steps.sh.
#
# What a drill gives: $work, a folder, and $seckill, the program. Its settings are
# in the environment.

# sale_file ROUND STARTS ENDS AMOUNT [LINE]: a round with product 1, as a sale
# file; LINE is one more of the product's.
sale_file() {
    cat <<SALE
[[round]]
id = "$1"
name = "Drill $1"
starts = "$2"
ends = "$3"

[[round.product]]
id = "1"
title = "Drilled"
amount = $4
price_cents = 100
list_price_cents = 200
per_buyer = 1
${5:-}
SALE
}

# approve LOG ROUND STARTS ENDS AMOUNT [LINE]: the same, approved.
approve() {
    local log=$1 round=$2
    shift
    sale_file "$@" >"$work/$round.toml"
    # A drill sells the same product in round after round.
    "$seckill" sale import "$work/$round.toml" --approve --overlapping >>"$log" 2>&1 ||
        fail "the drill's sale could not be imported; see $log"
}

# sell_in_shop ROUND STARTS ENDS AMOUNT [LINE]: the same in a whole shop
# (scripts/lib/shop.sh), whose edge knows of it in the end.
sell_in_shop() {
    approve "$shop_log" "$@"
    # Edges look for new products four times a second.
    poll_until 60 edge_knows "$1" || fail "the edge does not know round $1 a minute after its approval; see $shop_log"
}
edge_knows() { curl -fsS -o "$work/answer" "$shop_url/api/rounds/$1/products/1/state" 2>/dev/null; }

# A value of a JSON file: json FILE 'expression over $j'.
json() { perl -MJSON::PP -e '-s $ARGV[0] or print("no summary"), exit; local $/; open my $f, "<", $ARGV[0]; my $j = decode_json(<$f>); print eval $ARGV[1]' "$1" "$2"; }

# --- What became of the permits ---------------------------------------------

# spent_of ITEM LEASE: permits of a lease that bought something, in the one segment.
spent_of() { ask_redis --raw HGET "seckill::{$1::01}::spent" "$2"; }

# permits_used ITEM: permits that bought something. Others that are granted lie in the
# leases of edges, in hand or kept for when Redis is away. Edges take and return leases all
# the time: counter and leases are read in one step.
permits_used() {
    local lease amount spent used
    local together="local all = redis.call('HGETALL', KEYS[2])
        table.insert(all, 1, redis.call('GET', KEYS[1]) or '0')
        return all"
    {
        read -r used
        while read -r lease && read -r amount; do
            spent=$(spent_of "$1" "$lease")
            spent=${spent#closed:}
            used=$((used - ${amount%%:*} + ${spent:-0}))
        done
    } < <(ask_redis --raw EVAL "$together" 2 "seckill::{$1}::permits" "seckill::{$1}::leases")
    echo "$used"
}
