# The back end: every role is this image with another argument of `serve --roles`.
#   docker build -f docker/seckill.Dockerfile -t seckill docker
ARG BASE=debian:12-slim
ARG PACKAGES=seckill-packages
FROM ${PACKAGES} AS packages

FROM ${BASE} AS unpacked
COPY --from=packages /packages/seckill.deb /tmp/
RUN dpkg-deb -x /tmp/seckill.deb /unpacked && rm -rf /unpacked/usr/lib/systemd /unpacked/etc/logrotate.d && \
    rm -rf /unpacked/usr/share/doc/seckill/docs/pictures

FROM ${BASE}
# The certificates are for notifications by TLS, everything else is in the program.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/* /var/log/* && \
    useradd --system --uid 10001 --user-group --home-dir /var/lib/seckill --shell /usr/sbin/nologin seckill && \
    install -d -o seckill -g seckill /var/lib/seckill /var/lib/seckill/pages
COPY --from=unpacked /unpacked /
COPY healthy /usr/local/bin/
# Readable by the user of the container; what holds passwords is mounted over it.
# The logs are the edge's: a volume that is first mounted here gets its owner from here.
RUN chmod 644 /etc/seckill/seckill.toml && install -d -o 10002 -g 10002 /var/log/nginx
ENV SECKILL_CONFIG=/etc/seckill/seckill.toml SECKILL_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/seckill
VOLUME /var/lib/seckill
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["healthy", "7001", "/healthz"]
ENTRYPOINT ["seckill"]
CMD ["serve", "--roles", "purchase"]
