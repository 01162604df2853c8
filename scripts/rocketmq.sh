#!/usr/bin/env bash
# A RocketMQ 5 of one node, for tests and drills: name server, and broker with
# the gRPC proxy in one process.
#   scripts/rocketmq.sh install          fetches the server into target/rocketmq
#   scripts/rocketmq.sh start [FOLDER]   starts it, waits until it answers, makes topics and groups
#   scripts/rocketmq.sh stop [FOLDER]    stops it; what it stored stays
#   scripts/rocketmq.sh kill [FOLDER]    ends it without a chance to tidy up
#   scripts/rocketmq.sh admin [FOLDER] COMMAND...   runs mqadmin against it
#
# FOLDER (default $SECKILL_DATA/rocketmq) holds everything that it writes. It
# listens on 127.0.0.1 only, on nine ports from ROCKETMQ_PORT (default 9081):
# the first is the one that clients use, rocketmq_endpoint. ROCKETMQ_TOPICS
# names further topics to make, as NAME:NORMAL or NAME:DELAY; the group that
# reads one is called NAME-workers.
# ROCKETMQ_FLUSH=SYNC_FLUSH answers only after a message is on the disk.
#
# The makers' own start scripts want some 20 GB of memory; this takes 1 GB.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/steps.sh
. "$repository/scripts/lib/steps.sh"

target=${CARGO_TARGET_DIR:-$repository/target}/rocketmq
usage() { fail "use: scripts/rocketmq.sh install | start [FOLDER] | stop [FOLDER] | kill [FOLDER] | admin FOLDER COMMAND..."; }
[ $# -gt 0 ] || usage
command=$1
folder=${2:-${SECKILL_DATA:-$repository/data}/rocketmq}
pom=$repository/scripts/lib/rocketmq/pom.xml

has() { command -v "$1" >/dev/null 2>&1; }

# Fetched once for each pom: the list of jars is written last.
fetched() { [ -e "$target/fetched" ] && cmp -s "$pom" "$target/fetched"; }
fetch() {
    ! fetched || return 0
    has java || fail "java is missing; run scripts/install.sh test, or: apt-get install default-jre-headless"
    has mvn || fail "mvn is missing; run scripts/install.sh test, or: apt-get install maven"
    mkdir -p "$target"
    # Two that start at the same time fetch it once.
    exec 9>"$target/lock"
    flock 9
    ! fetched || { exec 9>&-; return 0; }
    step "Fetching RocketMQ"
    rm -rf "${target:?}/lib"
    mvn -B -q -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$target/lib" >"$target/fetch.log" 2>&1 </dev/null || {
        tail -n 5 "$target/fetch.log" >&2
        fail "RocketMQ could not be fetched from Maven's repository; see above"
    }
    cp "$pom" "$target/fetched"
    exec 9>&-
}

write_configuration() {
    mkdir -p "$folder/conf" "$folder/store"
    # The makers' logback files write some forty logs; warnings of all in one
    # are enough here.
    cat >"$folder/conf/logback.xml" <<XML
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{20} - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
XML
    cat >"$folder/conf/namesrv.conf" <<CONF
listenPort=$namesrv_port
bindAddress=127.0.0.1
CONF
    # The listening port is the middle one of three: two below it is the fast
    # one, one above it the one for replicas.
    cat >"$folder/conf/broker.conf" <<CONF
brokerClusterName=DefaultCluster
brokerName=broker-a
brokerId=0
brokerIP1=127.0.0.1
bindAddress=127.0.0.1
listenPort=$broker_port
namesrvAddr=127.0.0.1:$namesrv_port
storePathRootDir=$folder/store
storePathCommitLog=$folder/store/commitlog
flushDiskType=${ROCKETMQ_FLUSH:-ASYNC_FLUSH}
mappedFileSizeCommitLog=67108864
mappedFileSizeConsumeQueue=600000
mappedFileSizeTimerLog=1048576
maxHashSlotNum=50000
maxIndexNum=200000
diskMaxUsedSpaceRatio=95
autoCreateTopicEnable=false
CONF
    cat >"$folder/conf/rmq-proxy.json" <<JSON
{
  "rocketMQClusterName": "DefaultCluster",
  "localServeAddr": "127.0.0.1",
  "namesrvAddr": "127.0.0.1:$namesrv_port",
  "grpcServerPort": $grpc_port,
  "remotingListenPort": $remoting_port,
  "enablePrintJstack": false
}
JSON
}

# jvm HEAP MAIN ARGUMENTS...: becomes it.
jvm() {
    local heap=$1 main=$2
    shift 2
    # The short-lived server gains more from a quick start than from the last
    # bit of speed.
    exec java -server "-Xms$heap" "-Xmx$heap" -XX:MaxDirectMemorySize=512m -XX:+UseSerialGC \
        -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dtls.server.mode=disabled \
        "-Duser.home=$folder" "-Djava.io.tmpdir=$folder" "-Drmq.logback.configurationFile=$folder/conf/logback.xml" \
        --add-exports=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.nio=ALL-UNNAMED \
        --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \
        -cp "$target/lib/*" "$main" "$@"
}

# In the background, with its number in NAME.pid and its words in NAME.log.
launch() {
    local name=$1
    shift
    (jvm "$@") >>"$folder/$name.log" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
}

# By its command line too: a number may be somebody else's by now, and one that
# has ended but was not waited for has none.
is_alive() { [ -e "$folder/$1.pid" ] && grep -qa rocketmq "/proc/$(cat "$folder/$1.pid")/cmdline" 2>/dev/null; }
is_ended() { ! is_alive "$1"; }
answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

admin() {
    (ROCKETMQ_HOME=$folder NAMESRV_ADDR=127.0.0.1:$namesrv_port \
        jvm 64m org.apache.rocketmq.tools.command.MQAdminStartup "$@") </dev/null
}

# All topics by one mqadmin, whose start costs more than its work; and for each
# topic the group of its readers, which RocketMQ 5 wants to be made too.
make_topics() {
    local line name topics='' groups=''
    for line in seckill-orders:NORMAL seckill-cancels:DELAY ${ROCKETMQ_TOPICS:-}; do
        name=${line%:*}
        topics+="${topics:+,}{\"topicName\":\"$name\",\"readQueueNums\":4,\"writeQueueNums\":4,\"perm\":6,"
        topics+="\"attributes\":{\"+message.type\":\"${line##*:}\"}}"
        # After 16 deliveries the server would put a message aside, where nobody
        # looks: the orders role is to be the one that does so.
        groups+="${groups:+,}{\"groupName\":\"$name-workers\",\"retryMaxTimes\":64}"
    done
    printf '[%s]' "$topics" >"$folder/conf/topics.json"
    printf '[%s]' "$groups" >"$folder/conf/groups.json"
    admin updateTopicList -b "127.0.0.1:$broker_port" -f "$folder/conf/topics.json" >"$folder/admin.log" 2>&1 &&
        admin updateSubGroupList -b "127.0.0.1:$broker_port" -f "$folder/conf/groups.json" >>"$folder/admin.log" 2>&1
}

broker_is_ready() {
    is_ended broker || { answers "$grpc_port" && answers "$broker_port"; }
}
name_server_is_ready() { is_ended namesrv || answers "$namesrv_port"; }
topics_are_there() {
    make_topics && [ "$(grep -c success "$folder/admin.log")" = 2 ]
}

start() {
    ! is_alive broker || fail "a RocketMQ runs in $folder already; stop it with: scripts/rocketmq.sh stop $folder"
    fetch
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    export ROCKETMQ_HOME=$folder RMQ_PROXY_HOME=$folder
    grpc_port=${ROCKETMQ_PORT:-9081}
    echo "$grpc_port" >"$folder/port"
    ports
    write_configuration
    is_alive namesrv || launch namesrv 64m org.apache.rocketmq.namesrv.NamesrvStartup -c "$folder/conf/namesrv.conf"
    poll_until 60 name_server_is_ready && is_alive namesrv || give_up namesrv
    launch broker 384m org.apache.rocketmq.proxy.ProxyStartup -pm local -n "127.0.0.1:$namesrv_port" \
        -bc "$folder/conf/broker.conf" -pc "$folder/conf/rmq-proxy.json"
    poll_until 240 broker_is_ready && is_alive broker || give_up broker
    poll_until 120 topics_are_there || { cat "$folder/admin.log" >&2; give_up broker; }
}

give_up() {
    tail -n 15 "$folder/$1.log" >&2
    end KILL
    fail "RocketMQ did not start; the last lines of $folder/$1.log are above. Is a port from $grpc_port to $((grpc_port + 8)) taken? ROCKETMQ_PORT chooses others"
}

# end SIGNAL: both processes, by their numbers.
end() {
    local name
    for name in broker namesrv; do
        is_alive "$name" || continue
        kill "-$1" "$(cat "$folder/$name.pid")" 2>/dev/null || true
        poll_until 20 is_ended "$name" || kill -KILL "$(cat "$folder/$name.pid")" 2>/dev/null || true
        rm -f "$folder/$name.pid"
    done
}

ports() {
    grpc_port=$(cat "$folder/port")
    remoting_port=$((grpc_port + 1)) namesrv_port=$((grpc_port + 2)) broker_port=$((grpc_port + 5))
}

case $command in
    install) fetch ;;
    start) start ;;
    stop) end TERM ;;
    kill) end KILL ;;
    admin)
        [ $# -gt 2 ] || usage
        [ -e "$folder/port" ] || fail "no RocketMQ has run in $folder; start one with: scripts/rocketmq.sh start $folder"
        ports
        shift 2
        admin "$@"
        ;;
    *) usage ;;
esac
