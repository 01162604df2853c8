# The packages that `make packages` built, as an image that the others copy from.
#   docker build -f docker/packages.Dockerfile -t seckill-packages target/packages
FROM scratch
ARG VERSION
ARG DEBIAN=12
ARG ARCHITECTURE=amd64
COPY seckill_${VERSION}_${ARCHITECTURE}.deb /packages/seckill.deb
COPY libnginx-mod-http-seckill_${VERSION}+deb${DEBIAN}_${ARCHITECTURE}.deb /packages/module.deb
