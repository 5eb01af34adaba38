# The host's image: every process of Hakoiri, each in a container of its own (docker-compose.yml).
#
#   docker build --tag hakoiri/host:0.1.0 .
#
# needs Debian's image, its packages and a package index. Without a registry in reach, BASE is a
# Debian root that has the packages of deployment/compose/host-packages.txt already, and wheels/
# holds what requirements/runtime.txt names: then it builds without any network (tests/compose).
ARG BASE=debian:bookworm-20250520-slim

FROM ${BASE} AS system
COPY deployment/compose/host-packages.txt /packages.txt
RUN if ! python3 -c 'import ensurepip, venv' || ! command -v mke2fs; then \
      apt-get update \
      && sed '/^#/d' /packages.txt \
           | DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends \
      && rm -rf /var/lib/apt/lists/*; \
    fi \
 && rm /packages.txt

# Only /opt/hakoiri leaves this stage: neither wheels nor pip.
FROM system AS installed
COPY requirements/runtime.txt wheel[s] /wheels/
RUN python3 -m venv /pip \
 && python3 -m venv --without-pip /opt/hakoiri \
 && index="" \
 && if ls /wheels/*.whl >/dev/null 2>&1; then index="--no-index --find-links /wheels"; fi \
 && /pip/bin/pip --python /opt/hakoiri/bin/python install $index --require-hashes --no-deps \
      --only-binary :all: --no-cache-dir --disable-pip-version-check -r /wheels/runtime.txt
COPY pyproject.toml README.md /source/
COPY src/hakoiri /source/src/hakoiri
RUN /pip/bin/pip --python /opt/hakoiri/bin/python install --no-index --no-deps \
      --no-build-isolation --no-cache-dir --disable-pip-version-check /source \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/hakoiri/lib

FROM system
# The numbers are those of docker-compose.yml, and of files on the host.
RUN add() { groupadd --gid "$1" "$2" && useradd --no-log-init --uid "$1" --gid "$1" \
      --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$2"; } \
 && add 8420 hakoiri \
 && add 8421 hakoiri-proxy \
 && add 8422 hakoiri-guard \
 && add 8423 hakoiri-audit \
 && add 8424 hakoiri-reader \
 && add 8425 hakoiri-shipper \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
 && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
COPY --from=installed /opt/hakoiri /opt/hakoiri
ENV PATH=/opt/hakoiri/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 8420:8420
WORKDIR /
ENTRYPOINT ["/opt/hakoiri/bin/hakoiri"]
