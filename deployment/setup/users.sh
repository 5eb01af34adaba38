# shellcheck shell=bash
# The system users that the processes run as, so that none can read what another holds.

ensure_user() {
  local name=$1
  getent group "$name" >/dev/null ||
    run_step "creating the group $name" "see the message above." groupadd --system "$name"
  getent passwd "$name" >/dev/null ||
    run_step "creating the user $name (no shell, no home)" "see the message above." \
      useradd --system --gid "$name" --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin "$name"
}
