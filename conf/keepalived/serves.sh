#!/bin/sh
# Whether this balancer serves: the exit status is 0 if the address that it has to serve
# responds. keepalived runs it every second.
exec timeout 1 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/${1:-80}" || exit 1
    printf "GET /api/time HTTP/1.0\r\nHost: localhost\r\n\r\n" >&3
    read -r _ status _ <&3
    [ "$status" = 200 ]
' serves "$@" 2>/dev/null
