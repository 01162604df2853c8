# shellcheck shell=bash
# podman or docker. Sourced after steps.sh, in the repository's folder.

# choose_tool: sets $tool, and what a machine needs that must not raise limits.
choose_tool() {
    tool=${CONTAINER_TOOL:-}
    if [ -z "$tool" ]; then
        for tool in podman docker ''; do [ -z "$tool" ] || ! command -v "$tool" >/dev/null || break; done
    fi
    [ -n "$tool" ] || fail "neither podman nor docker is here; install one: apt-get install podman"
    if [ "$tool" = podman ] && [ -z "${CONTAINERS_CONF:-}" ] && [ -x /usr/sbin/runc ] && [ ! -w /sys/fs/cgroup/cgroup.procs ]; then
        # Hybrid control groups, and limits that may not be raised: a container in a
        # virtual machine or another container.
        mkdir -p target/images
        export CONTAINERS_CONF=$PWD/target/images/containers.conf
        printf '%s\n' '[engine]' 'runtime = "/usr/sbin/runc"' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' \
            '[containers]' 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]' >"$CONTAINERS_CONF"
    fi
}

# image NAME DOCKERFILE CONTEXT OPTION...: localhost/NAME.
image() {
    local name=$1 file=$2 context=$3 options=()
    shift 3
    # A build needs no limits of its own, and may be unable to set any.
    [ "$tool" != podman ] || options=(--isolation chroot --format docker)
    "$tool" build "${options[@]}" -t "localhost/$name" -f "$file" "$@" "$context" >"target/images/$name.log" 2>&1 || {
        tail -n 15 "target/images/$name.log" >&2
        fail "the image $name was not built: see target/images/$name.log"
    }
}

# image_label NAME LABEL: empty if there is no such image.
image_label() { "$tool" image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null || true; }
