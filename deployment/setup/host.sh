#!/usr/bin/env bash
# Bring this machine to where Hakoiri runs. Installs and starts only what is missing; a second run
# changes nothing. What cannot be had ends in one sentence with the mend, and exit code 2.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
umask 022
# shellcheck source-path=SCRIPTDIR
{
  source "$here/report.sh"
  source "$here/python.sh"
  source "$here/packages.sh"
  source "$here/users.sh"
  source "$here/engine.sh"
}

# The image, its build and the Python packages take about 4 GB.
readonly NEEDED_DISK_GIB=6

usage() {
  refuse "usage: host.sh [--for demo|test|guest|aarch64|systemd|compose|check]"
}

read_purpose() {
  [[ $# -gt 0 ]] || { echo demo; return; }
  [[ $# -eq 2 && $1 == --for && $2 =~ ^(demo|test|guest|aarch64|systemd|compose|check)$ ]] || usage
  echo "$2"
}

require_root() {
  ((EUID == 0)) || refuse "this starts containers and processes of other users, which needs root; run it again with sudo."
}

# The first directory of the path that exists tells which disk it will be on.
require_disk() {
  local directory=$1 free_kib
  until [[ -d $directory ]]; do directory=$(dirname -- "$directory"); done
  free_kib=$(df -Pk -- "$directory" | awk 'NR == 2 {print $4}')
  ((free_kib >= NEEDED_DISK_GIB * 1024 * 1024)) ||
    refuse "$directory has $((free_kib / 1024)) MiB free and $NEEDED_DISK_GIB GiB are needed; free some space and run this again."
}

main() {
  local purpose
  purpose=$(read_purpose "$@")
  [[ $(uname -s) == Linux ]] || refuse "Hakoiri runs on Linux only; use a Linux machine or a virtual machine."
  if [[ $purpose == check ]]; then
    install_missing check
    return
  fi
  require_root
  require_disk /var/lib/docker
  install_missing "$purpose"
  [[ $purpose != aarch64 ]] || return 0
  ensure_user hakoiri
  ensure_user hakoiri-proxy
  ensure_user hakoiri-guard
  ensure_user hakoiri-audit
  ensure_user hakoiri-reader
  ensure_user hakoiri-shipper
  [[ $purpose != test ]] || {
    fetch_prometheus "$here/../../build/tools"
    fetch_postgresql "$here/../../build/tools"
  }
  ensure_engine
  say "the host is ready: Docker $(engine_version) answers on $(engine_host)"
}

main "$@"
