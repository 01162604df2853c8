# shellcheck shell=bash
# Waits until every address behind the name $0 responds on port 7001 with the version of
# this image. Part of a pod's command: bash -c THIS NAME
port=${SECKILL_PURCHASE_PORT:-7001}
wanted=$(seckill --version) && wanted=${wanted##* }
# Within five seconds: what is sent to a pod of a dead node is lost without an answer.
# shellcheck disable=SC2016 # for the shell that is given up
has_version() {
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /metrics HTTP/1.0\r\nHost: edge\r\n\r\n" >&3 && grep -q "$2" <&3' \
    "$1" "$port" "^seckill_build_info{version=\"$wanted\"}" 2>/dev/null
}
said=
while :; do
  others='' found=''
  while read -r address _; do
    found=yes
    has_version "$address" || others="$others $address"
  done < <(getent ahostsv4 "$0" | sort -u -k 1,1)
  [ -n "$found" ] || others=" (no address behind $0)"
  [ -n "$others" ] || exit 0
  [ "$others" = "$said" ] || echo "not of version $wanted:$others; waiting"
  said=$others
  sleep 1
done
