#!/usr/bin/env bash
# How many orders a second the orders role places into MariaDB, with flow control
# off, beside what MariaDB takes of the same rows: bare inserts of as many rows
# each into the same table with the same indexes, from as many connections.
#
# The orders role does all that it does in a sale: takes purchases from the queue
# in Redis, inserts, tells the buyers' records, announces the delayed cancels and
# acknowledges. In one row it archives the ledger beside that, two rows an order
# in all.
#
# ORDERS (20,000) and ROUNDS (5) change the size.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/mariadb.sh
. scripts/lib/mariadb.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

orders=${ORDERS:-20000}
# What a worker has in flight (backend/src/orders.rs).
batch=125
seckill=${SECKILL:-${CARGO_TARGET_DIR:-$PWD/target}/release/seckill}

scripts/install.sh test
cargo build --release --locked --quiet -p seckill ||
    fail "the back end did not build; the compiler's message above says where"

finish() {
    mariadb_stop
    cleanup
}
trap finish EXIT

export SECKILL_DATA=$work/data SECKILL_REDIS_URL=unix://$work/redis.sock
# Far more than can be placed.
export SECKILL_ORDERS_PER_SECOND=1000000 SECKILL_PAY_WITHIN=86400 SECKILL_BACKLOG_AFTER=86400
log=$work/seckill.log

# begin NAME COMMAND...: in the background; end NAME.
declare -A running
begin() {
    "${@:2}" >>"$log" 2>&1 </dev/null &
    running[$1]=$!
    pids+=($!)
}
end() {
    kill -TERM "${running[$1]}" 2>/dev/null || true
    wait "${running[$1]}" || true
}

in_queue() { cli XLEN seckill::queue::orders; }
queue_holds() { [ "$(in_queue)" = "$1" ]; }
rows() { mariadb_ask shop "SELECT COUNT(*) FROM $1"; }
has_rows() { [ "$(rows "$1")" -ge "$2" ]; }

# --- The orders role ---------------------------------------------------------

# buy ROUND: as many purchases as there are items; their events lie in the outbox.
buy() {
    approve "$log" "$1" +0s +1h "$orders"
    perl -e '
        my ($script, $round, $count) = @ARGV;
        for my $n (1 .. $count) {
            my $tag = "seckill::{$round\::1::01}";
            my @words = ("EVALSHA", $script, 4, "$tag\::stock", "$tag\::buyers", "$tag\::spent", "$tag\::outbox",
                "buyer$n", sprintf("%032x", $n), 1, "edge.lease.$n", "lease", $round, 1, 1, 100, 0);
            print "*", scalar @words, "\r\n", map { "\$" . length($_) . "\r\n$_\r\n" } @words;
        }' "$script" "$1" "$orders" | cli --pipe >>"$log" 2>&1 || fail "the purchases were not made; see $log"
}

# queue_up: what lies in the outboxes goes into the queue.
queue_up() {
    begin relay "$seckill" serve --roles relay
    poll_until 120 queue_holds "$orders" || fail "only $(in_queue) of $orders purchases reached the queue; see $log"
    end relay
}

# drain WORKERS: orders a second, from the first that leaves the queue to the last.
drain() {
    local n
    for ((n = 1; n <= $1; n++)); do begin "worker$n" "$seckill" serve --roles orders; done
    # The reader leaves first.
    { cli -r 60000 -i 0.002 XLEN seckill::queue::orders || true; } | perl -MTime::HiRes=time -e '
        my ($all, $began, $first) = (shift);
        while (<STDIN>) {
            chomp;
            next if $_ == $all;
            ($began, $first) = (time, $_) unless $began;
            if ($_ == 0) { printf "%.0f\n", $first / (time - $began); last }
        }' "$orders"
    for ((n = 1; n <= $1; n++)); do end "worker$n"; done
    [ "$(rows orders)" = "$orders" ] || fail "$(rows orders) orders were placed instead of $orders; see $log"
}

# placed NAME WORKERS ROUND: appends to $work/NAME.runs.
placed() {
    mariadb_ask shop "TRUNCATE orders; TRUNCATE ledger"
    buy "$3"
    if [ "$1" != with_archive ]; then
        # The archive is the ledger's business: it is done before.
        begin archive "$seckill" serve --roles orders
        poll_until 120 has_rows ledger "$orders" || fail "only $(rows ledger) events were archived; see $log"
        end archive
    fi
    queue_up
    drain "$2" >>"$work/$1.runs"
    cli DEL seckill::queue::cancels '{seckill::queue::cancels}::delayed' "seckill::{$3::1::01}::buyers" >>"$log"
}

# --- The peer ----------------------------------------------------------------

# bare_rows CLIENT CLIENTS: its share of the rows, as it would send them.
bare_rows() {
    perl -e '
        my ($client, $clients, $count, $batch) = @ARGV;
        my $columns = "id, request, round, product, segment, user, quantity, price_cents, permit, state, reason, "
            . "stock_due, pay_by_ms, locked_ms, created_ms, updated_ms";
        my $now = int(time * 1000);
        my @rows;
        my $send = sub { print "INSERT INTO orders ($columns) VALUES ", join(", ", @rows), ";\n"; @rows = () };
        for (my $n = $client; $n < $count; $n += $clients) {
            push @rows, sprintf("(%d, \x27%032x\x27, \x27bare\x27, \x271\x27, 1, \x27buyer%d\x27, 1, 100, \x27edge.lease.%d\x27, "
                . "\x27created\x27, NULL, NULL, %d, %d, %d, %d)", 7e17 + $n * 4096, $n, $n, $n, $now + 86400000, $now, $now, $now);
            $send->() if @rows == $batch;
        }
        $send->() if @rows;' "$1" "$2" "$orders" "$batch"
}

# bare NAME CLIENTS: appends to $work/NAME.runs.
bare() {
    local n clients=() began
    mariadb_ask shop "TRUNCATE orders"
    began=$(date +%s%N)
    for ((n = 0; n < $2; n++)); do
        mariadb --no-defaults --user=root --socket="$mariadb_home/socket" shop <"$work/bare.$2.$n" &
        clients+=($!)
    done
    wait "${clients[@]}"
    echo $((orders * 1000000000 / ($(date +%s%N) - began))) >>"$work/$1.runs"
    [ "$(rows orders)" = "$orders" ] || fail "$(rows orders) bare rows were inserted instead of $orders"
}

# --- The bench ----------------------------------------------------------------

mkdir -p "$SECKILL_DATA"
redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --appendonly yes --dir "$work" >"$work/redis.log" 2>&1 &
pids+=($!)
pings() { [ "$(cli PING 2>/dev/null)" = PONG ]; }
poll_until 10 pings || fail "redis-server did not start; see $work/redis.log"
mariadb_place "$work/mariadb" shop
export SECKILL_DATABASE_URL=$mariadb_url
script=$(cli SCRIPT LOAD "$(cat lua/stock/prelude.lua lua/stock/purchase.lua)")
for clients in 1 2; do
    for ((n = 0; n < clients; n++)); do bare_rows "$n" "$clients" >"$work/bare.$clients.$n"; done
done

step "$orders orders, $batch at a time: $rounds rounds of placing and of bare inserts"
# The tables are made by whoever opens the database first.
"$seckill" sale export >>"$log" 2>&1 || fail "the database could not be opened; see $log"
for ((round = 1; round <= rounds; round++)); do
    placed one_worker 1 "one$round"
    bare one_client 1
    placed two_workers 2 "two$round"
    bare two_clients 2
    placed with_archive 1 "arc$round"
    printf '   %s: one worker %s, bare %s; two workers %s, bare %s; one that archives too %s orders/s\n' "$round" \
        "$(tail -n 1 "$work/one_worker.runs")" "$(tail -n 1 "$work/one_client.runs")" "$(tail -n 1 "$work/two_workers.runs")" \
        "$(tail -n 1 "$work/two_clients.runs")" "$(tail -n 1 "$work/with_archive.runs")"
done

compared() { paste -d' ' "$work/$1.runs" "$work/$2.runs" | awk '{ printf "%.3f\n", $1 / $2 }' | median; }
bare_peer="MariaDB's client, INSERTs of $batch rows into the same table"
row orders_placed "$(rate one_worker)" orders/s 5000 higher "none: absolute figure, one worker"
row orders_against_bare_inserts "$(compared one_worker one_client)" x 0.6 higher "$bare_peer, one connection"
row bare_inserts "$(rate one_client)" orders/s null higher "none: the peer's own figure, one connection"
row orders_placed_by_two_workers "$(rate two_workers)" orders/s null higher "none: absolute figure"
row two_workers_against_bare_inserts "$(compared two_workers two_clients)" x 0.6 higher "$bare_peer, two connections"
row orders_placed_while_archiving "$(rate with_archive)" orders/s null higher "none: absolute figure, one worker that archives the ledger too"
write_results orders
