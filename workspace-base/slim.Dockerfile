# The base where mmdebstrap cannot make it (which needs root and Debian sources): a pinned slim
# Debian with the same packages, sealed the same way, and copied into one layer, so that no set-id
# bit stays in a layer below.
FROM debian:bookworm-20250520-slim AS packages
COPY packages.txt seal-root.sh /
RUN apt-get update \
 && sed '/^#/d' /packages.txt \
      | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
 && sh /seal-root.sh / \
 && rm /packages.txt /seal-root.sh

FROM scratch
COPY --from=packages / /
