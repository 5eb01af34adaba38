#!/usr/bin/env bash
# Readies this host for docker-compose.yml, as root: directories, one shared mount, passwords.
#
#   host.sh up [ENV_FILE]     what is there stays as it is; again after each start of the host
#   host.sh down [ENV_FILE]   after `docker compose down`: removes the boxes and their mounts
#
# ENV_FILE is .env by default; of it, BASE_DIR, INSTANCE and AUDIT_COPY_DIR are read.
set -euo pipefail
umask 077

refuse() {
  printf 'host.sh: %s\n' "$*" >&2
  exit 2
}

# value_of NAME FILE: what the file assigns, not executed.
value_of() {
  sed -n "s/^$1=//p" "$2" | tail -n 1
}

read_settings() {
  local file=$1
  [[ -f $file ]] || refuse "there is no $file; copy .env.example to it and edit it."
  base=$(value_of BASE_DIR "$file")
  instance=$(value_of INSTANCE "$file")
  copy=$(value_of AUDIT_COPY_DIR "$file")
  [[ $base == /* && $base != / && $base != *[[:space:]]* ]] ||
    refuse "BASE_DIR in $file must be an absolute path without spaces, a directory of its own."
  [[ -z $copy || $copy == /* && $copy != / && $copy != *[[:space:]]* ]] ||
    refuse "AUDIT_COPY_DIR in $file must be an absolute path without spaces, a directory of its own."
  [[ $instance =~ ^[0-9a-f]{12}$ ]] ||
    refuse "INSTANCE in $file must be 12 hex digits; make it once: openssl rand -hex 6"
}

random_word() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# secret NAME OWNER GROUP MODE [CONTENT]: a file that is not there yet.
secret() {
  local path=$base/secrets/$1
  [[ -e $path ]] || printf '%s' "${5-}" >"$path"
  chown "$2:$3" "$path"
  chmod "$4" "$path"
}

make_secrets() {
  local redis postgres
  install -d -m 0700 "$base/secrets"
  # each is its reader's alone; root's own where the reader demands that
  if [[ ! -e $base/secrets/redis_file ]]; then
    redis=$(random_word)
    secret redis_file 8426 8426 0400 "port 0
unixsocket /run/redis/redis.sock
unixsocketperm 770
dir /data
appendonly yes
requirepass $redis
"
    secret redis_credentials 0 8420 0640 "password = \"$redis\"
"
  fi
  if [[ ! -e $base/secrets/postgres_password ]]; then
    postgres=$(random_word)
    secret postgres_password 8427 8427 0400 "$postgres"
    secret postgres_passfile 8420 8420 0400 "*:*:hakoiri:hakoiri:$postgres
"
  fi
  [[ -e $base/secrets/grafana_password ]] || secret grafana_password 8429 8429 0400 "$(random_word)"
  # these are the operator's to fill
  secret metrics_key 8428 8428 0400
  secret proxy_file 0 8421 0440
  secret model_key 0 8421 0440
  secret ship_file 8425 8425 0400
}

# Boxes are mounted by the guard's container and must show to the engine. With systemd all mounts
# are shared already.
share_live() {
  install -d -m 0711 "$base/live"
  [[ $(findmnt --noheadings --output PROPAGATION --target "$base/live") == *shared* ]] || {
    mountpoint --quiet "$base/live" || mount --bind "$base/live" "$base/live"
    mount --make-private "$base/live"
    mount --make-shared "$base/live"
  }
}

up() {
  install -d -m 0711 "$base"
  [[ -e $base/hakoiri.toml ]] || install -m 0644 /dev/null "$base/hakoiri.toml"
  make_secrets
  # where the shipper copies the audit log to, if it is set up
  [[ -z $copy ]] || install -d -o 8425 -g 8425 -m 0750 "$copy"
  share_live
  [[ -e /dev/loop-control ]] || modprobe loop ||
    refuse "there are no loop devices, which a box's disks need; load the module loop."
  echo "host.sh: $base is ready"
}

down() {
  local boxes mounts mount
  boxes=$(docker ps --all --quiet --filter "label=hakoiri.instance=$instance")
  # shellcheck disable=SC2086 # the ids are meant to be split
  [[ -z $boxes ]] || docker rm --force $boxes >/dev/null
  mounts=$(findmnt --noheadings --list --output TARGET | grep -F "$base/live/" | sort -r || true)
  for mount in $mounts; do umount --lazy "$mount" || true; done
  rm -rf --one-file-system "$base/live/$instance" "$base/live/$instance.disks" \
    "$base/live/$instance.view"
  ! mountpoint --quiet "$base/live" || umount "$base/live" || true
  echo "host.sh: no box of $instance is left"
}

main() {
  local base instance copy
  [[ $# -ge 1 && $# -le 2 && $1 =~ ^(up|down)$ ]] || refuse "usage: host.sh up|down [ENV_FILE]"
  ((EUID == 0)) || refuse "this makes files of other users and mounts; run it as root."
  read_settings "${2:-.env}"
  "$1"
}

main "$@"
