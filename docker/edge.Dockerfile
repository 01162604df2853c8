# The edge: Debian's nginx with the module and the shipped configuration.
#   docker build -f docker/edge.Dockerfile -t seckill-edge docker
ARG BASE=debian:12-slim
ARG PACKAGES=seckill-packages
FROM ${PACKAGES} AS packages

FROM ${BASE} AS unpacked
COPY --from=packages /packages/seckill.deb /tmp/
RUN dpkg-deb -x /tmp/seckill.deb /unpacked

FROM ${BASE}
COPY --from=packages /packages/module.deb /tmp/
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && \
    apt-get update && apt-get install -y --no-install-recommends nginx /tmp/module.deb && \
    rm -rf /tmp/module.deb /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/* /var/log/*.log /var/log/apt \
        /etc/nginx/sites-enabled/* /etc/nginx/sites-available/* && \
    useradd --system --uid 10002 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin edge && \
    # Its workers are written for as log files; a volume takes its owner from here.
    install -d -o edge -g edge /var/log/nginx /var/lib/seckill/pages
COPY --from=unpacked /unpacked/usr/share/seckill/conf /usr/share/seckill/conf
COPY --from=unpacked /unpacked/usr/share/seckill/html /usr/share/seckill/html
COPY healthy /usr/local/bin/
COPY edge/edge.sh /usr/local/bin/edge
COPY edge/nginx.conf /etc/seckill/
USER 10002:10002
# Everything that is written: temporary files and the configuration made of the
# environment in /tmp, logs in a volume.
VOLUME /var/log/nginx
EXPOSE 8080 8081
# nginx finishes the requests under way, as long as worker_shutdown_timeout says.
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["healthy", "8080", "/api/time"]
ENTRYPOINT ["edge"]
