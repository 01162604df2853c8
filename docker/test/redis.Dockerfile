# Debian's Redis, for tests where no registry can be reached.
ARG BASE
FROM ${BASE}
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && \
    groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 redis && \
    apt-get update && apt-get install -y --no-install-recommends redis-server && \
    rm -rf /var/lib/apt/lists/* && install -d -o 999 -g 999 /data
VOLUME /data
