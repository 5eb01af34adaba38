#!/usr/bin/env bash
# Brings the profile of the workspace containers into the kernel, and out of it again.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

readonly NAME=workspace-container
readonly PROFILE=$here/$NAME
readonly INSTALLED=/etc/apparmor.d/$NAME
readonly ENABLED=/sys/module/apparmor/parameters/enabled
readonly SECURITYFS=/sys/kernel/security
readonly LOADED=$SECURITYFS/apparmor/profiles

usage() {
  cat <<TEXT
usage: load.sh check | load | verify | unload

  check    say whether this machine has AppArmor, and whether the profile can be compiled
  load     check, load the profile in enforce mode, and install it below /etc/apparmor.d, from where
           it is loaded at each boot; a second run renews it. Containers that run keep what they had
           under the name, in its new form
  verify   say whether the kernel has the profile in enforce mode
  unload   take it out of the kernel and of /etc/apparmor.d; refused while a process has it, which
           would go on without a profile

Needs root, and Debian's package apparmor for check, load and unload. Then set
HAKOIRI_CONTAINER__APPARMOR_PROFILE=$NAME for hakoiri.
Exit code 0 if it is done or so, 1 if not, 2 if the command is not one of these or this machine cannot.
TEXT
}

say() {
  printf 'apparmor: %s\n' "$*"
}

# fail CODE SENTENCE: one sentence with the mend.
fail() {
  local code=$1
  shift
  printf 'apparmor: %s\n' "$*" >&2
  exit "$code"
}

require_kernel() {
  ((EUID == 0)) || fail 2 "this needs root; run it again with sudo."
  [[ -r $ENABLED && $(<"$ENABLED") == Y ]] ||
    fail 2 "AppArmor is not enabled in this kernel; boot one that has it, with apparmor=1 security=apparmor."
  [[ -e $LOADED ]] || mount -t securityfs securityfs "$SECURITYFS" 2>/dev/null || true
  [[ -r $LOADED ]] ||
    fail 2 "cannot read $LOADED; run this on the host, not in a container, with securityfs mounted on $SECURITYFS."
}

require_parser() {
  command -v apparmor_parser >/dev/null ||
    fail 2 "there is no apparmor_parser; install the package apparmor."
}

compile() {
  local said
  said=$(apparmor_parser --skip-kernel-load --skip-cache "$PROFILE" 2>&1) ||
    fail 1 "$PROFILE cannot be compiled: ${said//$'\n'/ }"
}

mode() {
  awk -v name="$NAME" '$1 == name {gsub(/[()]/, "", $2); print $2}' "$LOADED"
}

# Processes that have the profile, by number.
confined() {
  local file label
  for file in /proc/[0-9]*/attr/current; do
    # a process may end between the two
    label=$(tr -d '\0' 2>/dev/null <"$file") || continue
    [[ $label != "$NAME ("* ]] || { file=${file#/proc/}; printf '%s\n' "${file%%/*}"; }
  done 2>/dev/null
}

check() {
  require_kernel
  require_parser
  compile
  say "the kernel has AppArmor, and $NAME can be compiled"
}

load() {
  require_kernel
  require_parser
  compile
  # whole or not at all: it is read at boot
  install -D -m 0644 -- "$PROFILE" "$INSTALLED.new"
  mv -f -- "$INSTALLED.new" "$INSTALLED"
  apparmor_parser --replace --skip-cache "$INSTALLED" ||
    fail 1 "the kernel refused $INSTALLED; see the message above and dmesg."
  verify
}

verify() {
  require_kernel
  local found
  found=$(mode)
  case $found in
    enforce) say "$NAME is loaded, in enforce mode" ;;
    "") fail 1 "$NAME is not loaded; run load.sh load." ;;
    *) fail 1 "$NAME is loaded in $found mode, which refuses nothing; run load.sh load." ;;
  esac
}

unload() {
  require_kernel
  require_parser
  local users
  users=$(confined | tr '\n' ' ')
  [[ -z $users ]] ||
    fail 1 "processes have the profile (${users% }), and would go on without one; stop hakoiri serve first."
  if [[ -n $(mode) ]]; then
    apparmor_parser --remove "$PROFILE" || fail 1 "the kernel did not let go of $NAME; see dmesg."
  fi
  rm -f -- "$INSTALLED"
  say "$NAME is not loaded"
}

case ${1-} in
  -h | --help) usage ;;
  check | load | verify | unload)
    [[ $# -eq 1 ]] || { usage >&2; exit 2; }
    "$1"
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
