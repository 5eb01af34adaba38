#!/usr/bin/env bash
# Puts Hakoiri on this host as a service of systemd, upgrades it, and goes back to the release before.
# A release is a directory of its own below /opt/hakoiri/releases; `current` is a link to one of them.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd -- "$here/../.." && pwd)
readonly here checkout
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
# Processes of other users read the release.
umask 022
# shellcheck source-path=SCRIPTDIR/../setup
source "$checkout/deployment/setup/report.sh"

readonly BASE=/opt/hakoiri
readonly RELEASES=$BASE/releases
readonly CURRENT=$BASE/current
readonly PREVIOUS=$BASE/previous
readonly SETTINGS=/etc/hakoiri
readonly UNIT=hakoiri.service
readonly COMMAND=/usr/local/bin/hakoiri
# What of the checkout a release needs: the code, the recipe of the image, how to set up and what to read.
readonly PARTS=(src workspace-base deployment docs requirements pyproject.toml README.md CHANGELOG.md)
readonly MIGRATIONS=src/hakoiri/host/adapters/sql/migrations/versions

usage() {
  cat <<TEXT
usage: install.sh install | back [--anyway] | list | name

  install  make a release of the checkout that this script lies in, with its Python packages and its
           image, and make it the current one. A running service is restarted: containers and turns
           stay, and the new release goes on with them. Nothing that runs is touched before that
  back     make the release before the current one. Refused if it does not know the database as the
           current one has made it; --anyway, once an older database was put back by hand
  list     show the releases
  name     show which release this checkout is, made or not

Needs root and systemd. Exit code 0 if it is done, 1 if a step failed, 2 if it cannot be done here.
TEXT
}

require_host() {
  ((EUID == 0)) || refuse "only root can install a service; run it again with sudo."
  [[ -d /run/systemd/system ]] || refuse "systemd does not run here; use \`hakoiri serve\` itself, or compose."
}

# name_of_release: the version, and what the sources are: other sources are another release.
name_of_release() {
  local version hash
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml")
  hash=$(cd -- "$checkout" && find "${PARTS[@]}" -name __pycache__ -prune -o -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-10)
  printf '%s-%s\n' "$version" "$hash"
}

# The environment's scripts hold its path, so it is made in its place; `.whole` says that all is there.
make_release() {
  local release=$1
  [[ ! -e $release/.whole ]] || return 0
  rm -rf -- "$release"
  install -d -m 0755 "$release"
  (cd -- "$checkout" && tar --exclude=__pycache__ -cf - "${PARTS[@]}") | tar --no-same-owner -C "$release" -xf -
  "$release/deployment/setup/host.sh" --for demo
  "$release/deployment/setup/venv.sh" runtime
  # The processes' users cannot write here, and each would compile all of it at each start.
  "$release/.venv/bin/python" -m compileall -q "$release/src"
  (cd -- "$release" && .venv/bin/hakoiri image build --cache /var/cache/hakoiri)
  touch "$release/.whole"
}

# What an operator may have changed is left as it is.
make_settings() {
  install -d -m 0755 "$SETTINGS"
  [[ -e $SETTINGS/hakoiri.toml ]] || install -m 0644 "$here/hakoiri.toml" "$SETTINGS/hakoiri.toml"
}

point() {
  local link=$1 target=$2
  ln -sfn "$target" "$link.new"
  mv -fT "$link.new" "$link"
}

switch_to() {
  local release=$1
  point "$CURRENT" "$release"
  install -m 0644 "$release/deployment/systemd/$UNIT" "/etc/systemd/system/$UNIT"
  install -m 0755 "$release/deployment/systemd/hakoiri" "$COMMAND"
  systemctl daemon-reload
  if systemctl --quiet is-active "$UNIT"; then
    run_step "restarting the service; containers and turns stay" \
      "see: journalctl -u hakoiri. The release before is one command away: $CURRENT/deployment/systemd/install.sh back" \
      systemctl restart "$UNIT"
  else
    say "the service does not run; start it with: systemctl enable --now hakoiri"
  fi
}

install_release() {
  local release
  release=$RELEASES/$(name_of_release)
  make_release "$release"
  make_settings
  if [[ -e $CURRENT && $(readlink -f "$CURRENT") != "$release" ]]; then
    point "$PREVIOUS" "$(readlink -f "$CURRENT")"
  fi
  switch_to "$release"
  say "the current release is ${release##*/}"
}

newest_migration() {
  find "$1/$MIGRATIONS" -name 'v[0-9]*.py' -printf '%f\n' | sort | tail -n 1
}

go_back() {
  local release current
  [[ -e $PREVIOUS ]] || refuse "there is no release before the current one."
  release=$(readlink -f "$PREVIOUS")
  current=$(readlink -f "$CURRENT")
  if [[ $(newest_migration "$release") != "$(newest_migration "$current")" && ${1:-} != --anyway ]]; then
    refuse "${release##*/} does not know the database as ${current##*/} has made it; docs/operations/upgrade.md says how to go back all the same, and what that loses."
  fi
  switch_to "$release"
  point "$PREVIOUS" "$current"
  say "the current release is ${release##*/}"
}

list_releases() {
  local release mark
  for release in "$RELEASES"/*/; do
    release=${release%/}
    [[ -e $release/.whole ]] || continue
    mark=
    [[ $release != "$(readlink -f "$CURRENT")" ]] || mark=' (current)'
    [[ $release != "$(readlink -f "$PREVIOUS")" ]] || mark=' (previous)'
    printf '%s%s\n' "${release##*/}" "$mark"
  done
}

case "${1:-} ${2:-}" in
  'install ')
    require_host
    install_release
    ;;
  'back ' | 'back --anyway')
    require_host
    go_back "${2:-}"
    ;;
  'list ') list_releases ;;
  'name ') name_of_release ;;
  *)
    usage >&2
    exit 2
    ;;
esac
