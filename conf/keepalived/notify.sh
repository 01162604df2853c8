#!/bin/sh
# Called by keepalived at each change of state: notify.sh INSTANCE|GROUP NAME STATE PRIORITY
# One line to the system's log, for the alert "the address moved", and for a mail or a
# page of your own.
logger -t keepalived-seckill "$2 is now $3 on $(hostname)" 2>/dev/null || true
# Two that both believe to be master see each other's address: arping gets an answer
# from a hardware address that is not ours. Put your own check here.
exit 0
