# The packages, compiled in a container: for machines that are no Debian.
#   docker build -f docker/compile.Dockerfile -t seckill-packages .
ARG RUST=rust:1-bookworm
FROM ${RUST} AS compiled
RUN apt-get update && apt-get install -y --no-install-recommends \
        dpkg-dev git libclang-dev libpcre2-dev libssl-dev zlib1g-dev
COPY . /source
WORKDIR /source
ARG RELEASE=bookworm
RUN scripts/packages.sh ${RELEASE} && mkdir /packages && \
    cp target/packages/seckill_*.deb /packages/seckill.deb && \
    cp target/packages/libnginx-mod-http-seckill_*.deb /packages/module.deb

FROM scratch
COPY --from=compiled /packages /packages
