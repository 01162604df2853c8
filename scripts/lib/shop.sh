# shellcheck shell=bash
# A whole system of its own for a drill or a browser test: private data, free
# ports, stopped by its pid. Sourced after steps.sh.

shop_pid=
# SECKILL names another program than that of scripts/build.sh.
seckill=${SECKILL:-$(trial_program seckill)}

# Gives the shop its place: shop_place FOLDER. What was there is removed.
shop_place() {
    rm -rf "$1"
    mkdir -p "$1"
    SECKILL_DATA=$1 SECKILL_PORT=$(free_ports 1) SECKILL_CONSOLE_PORT=$(free_ports 1)
    export SECKILL_DATA SECKILL_PORT SECKILL_CONSOLE_PORT
    export SECKILL_DEMO_LOGIN=on SECKILL_CAPTCHA=off
    shop_url=http://127.0.0.1:$SECKILL_PORT
    shop_log=$SECKILL_DATA.log
    : >"$shop_log"
}

shop_answers() { curl -fsS -o "$SECKILL_DATA.answer" "$shop_url/api/time" 2>/dev/null && curl -fsS -o "$SECKILL_DATA.answer" "$shop_url/api/rounds" 2>/dev/null; }
shop_is_gone() { ! kill -0 "$shop_pid" 2>/dev/null; }
shop_answers_or_is_gone() { shop_is_gone || shop_answers; }

# Starts it (`seckill up` with these arguments) and waits until it answers.
shop_start() {
    "$seckill" up "$@" >>"$shop_log" 2>&1 </dev/null &
    shop_pid=$!
    poll_until 30 shop_answers_or_is_gone || true
    shop_answers && return 0
    tail -n 20 "$shop_log" >&2
    fail "seckill up did not come up at $shop_url; its last lines are above, all are in $shop_log"
}

# Stops it as Ctrl-C does and expects it to stop cleanly.
shop_stop() {
    [ -n "$shop_pid" ] || return 0
    local status=0
    kill -TERM "$shop_pid" 2>/dev/null || true
    poll_until 20 shop_is_gone || kill -KILL "$shop_pid" 2>/dev/null || true
    wait "$shop_pid" || status=$?
    shop_pid=
    return "$status"
}

# Ends it without a chance to tidy up.
shop_kill() {
    kill -KILL "$shop_pid"
    wait "$shop_pid" 2>/dev/null || true
    shop_pid=
}
