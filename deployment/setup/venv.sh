#!/usr/bin/env bash
# Make .venv from the hash-pinned requirements; nothing is done while they are unchanged.
# `venv.sh runtime` leaves out what only tests and checks need.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
readonly here root
export LC_ALL=C
# The other users' processes must be able to read it.
umask 022
# shellcheck source-path=SCRIPTDIR
{
  source "$here/report.sh"
  source "$here/python.sh"
}

readonly VENV=$root/.venv
readonly REQUIREMENTS=$root/requirements/${1:-dev}.txt
readonly STAMP=$VENV/.installed

# What the environment was made from; its scripts hold its path, so that counts too.
fingerprint() {
  { "$1" -c 'import sys; print(sys.executable, sys.version)'
    echo "$VENV"
    cat -- "$REQUIREMENTS" "$root/pyproject.toml"
  } | sha256sum | cut -d ' ' -f 1
}

is_made_from() {
  [[ -x $VENV/bin/python ]] &&
    [[ $("$VENV/bin/python" -c 'import sys; print(sys.base_prefix, sys.version)') == \
      "$("$1" -c 'import sys; print(sys.base_prefix, sys.version)')" ]]
}

main() {
  local python wanted count
  python=$(find_python) || refuse "no Python 3.11 or newer was found; install Debian's python3 and run this again."
  wanted=$(fingerprint "$python")
  [[ ! -x $VENV/bin/hakoiri || ! -e $STAMP || $(<"$STAMP") != "$wanted" ]] || return 0
  rm -f "$STAMP"
  is_made_from "$python" ||
    run_step "making .venv with $python" "install python3-venv." "$python" -m venv --clear "$VENV"
  count=$(grep -c '^[a-z].*==' "$REQUIREMENTS")
  run_step "installing $count Python packages into .venv (a minute or two)" \
    "check the network and pip's configuration." \
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --require-hashes -r "$REQUIREMENTS"
  run_step "installing hakoiri itself into .venv" "see the message above." \
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --no-deps --no-build-isolation -e "$root"
  echo "$wanted" >"$STAMP"
}

main "$@"
