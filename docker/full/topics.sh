#!/bin/bash
# Makes the topics and groups of docs/rocketmq.md: topics.sh NAMESRV. What is there is
# brought to the same state.
set -euo pipefail
namesrv=$1
admin() { sh mqadmin "$@"; }
for topic in seckill-orders:NORMAL seckill-cancels:DELAY; do
    name=${topic%%:*}
    admin updateTopic -n "$namesrv" -c DefaultCluster -t "$name" -a "+message.type=${topic##*:}"
    # mqadmin exits with 0 though it failed: what counts is that the topic is there.
    admin topicList -n "$namesrv" | grep -qx "$name" || { echo "topics.sh: $name was not made" >&2; exit 1; }
    admin updateSubGroup -n "$namesrv" -c DefaultCluster -g "$name-workers" -r 64
done
