# shellcheck shell=bash
# shellcheck disable=SC2154 # $work and $seckill are the drill's
# Two order workers beside a shop, each a process of its own that may be killed.
# Their ids are in files, since they may be started in a shell of their own.
# Sourced after scripts/lib/steps.sh.

worker_start() {
    "$seckill" serve --roles orders >>"$work/worker$1.log" 2>&1 </dev/null &
    echo $! >"$work/worker$1.pid"
    disown # so that bash says nothing when it is killed
}
workers_start() {
    worker_start 1
    worker_start 2
}
worker_ids() { cat "$work"/worker?.pid 2>/dev/null || true; }

# As an operator stops them: what is in hand is finished.
workers_stop() {
    local id
    for id in $(worker_ids); do kill -TERM "$id" 2>/dev/null || true; done
    poll_until 15 workers_have_ended || true
    rm -f "$work"/worker?.pid
}
workers_have_ended() {
    local id
    for id in $(worker_ids); do has_ended "$id" || return 1; done
}

# kill_workers_every_2_seconds TIMES: both, and starts them again; counts in
# $work/kills. RocketMQ goes on handing messages to the questions that a killed
# worker left standing, for five seconds: without end, some message might always
# go there.
kill_workers_every_2_seconds() {
    local id count
    for ((count = 1; count <= $1; count++)); do
        sleep 2 # that is how often they are to be killed
        for id in $(worker_ids); do kill -KILL "$id" 2>/dev/null || true; done
        echo "$count" >"$work/kills"
        workers_start
    done
}
