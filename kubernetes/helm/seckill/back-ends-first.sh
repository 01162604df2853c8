# shellcheck shell=bash
# Waits until purchase roles respond behind the name $0 on port 7001, all of them with the
# version of this image. Part of a pod's command: bash -c THIS NAME
#
# An address that does not respond has no version: a pod whose node died, or that cannot
# start, keeps nobody from replacing an edge. There is no bound after which it gives up: an
# edge before its back ends is what this prevents, and Kubernetes itself reports a rollout
# that does not progress for ten minutes.
port=${SECKILL_PURCHASE_PORT:-7001}
wanted=$(seckill --version) && wanted=${wanted##* }
# Within five seconds: what is sent to a pod of a dead node is lost without an answer.
# shellcheck disable=SC2016 # for the shell that is given up
metrics() {
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /metrics HTTP/1.0\r\nHost: edge\r\n\r\n" >&3 && cat <&3' \
    "$1" "$port" 2>/dev/null
}
said=
while :; do
  others='' same=''
  while read -r address _; do
    case $(metrics "$address") in
      '') ;;
      *"seckill_build_info{version=\"$wanted\"}"*) same=yes ;;
      *) others="$others $address" ;;
    esac
  done < <(getent ahosts "$0" | sort -u -k 1,1)
  why="not of version $wanted:$others"
  [ -n "$others" ] || why="nobody responds behind $0"
  [ -z "$same" ] || [ -n "$others" ] || exit 0
  [ "$why" = "$said" ] || echo "$why; waiting"
  said=$why
  sleep 1
done
