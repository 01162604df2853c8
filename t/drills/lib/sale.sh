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
    poll_until 5 edge_knows "$1" || fail "the edge does not know round $1 five seconds after its approval; see $shop_log"
}
edge_knows() { curl -fsS -o "$work/answer" "$shop_url/api/rounds/$1/products/1/state" 2>/dev/null; }

# A value of a JSON file: json FILE 'expression over $j'.
json() { perl -MJSON::PP -e '-s $ARGV[0] or print("no summary"), exit; local $/; open my $f, "<", $ARGV[0]; my $j = decode_json(<$f>); print eval $ARGV[1]' "$1" "$2"; }
