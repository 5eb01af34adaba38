# shellcheck shell=bash
# How set-up speaks: a line for each step, one sentence with the mend when it cannot go on.

readonly HEARTBEAT_S=10
readonly QUIET_STEP_S=2
readonly LOG_TAIL_LINES=15

say() {
  printf 'set-up: %s\n' "$*"
}

# Nothing here can be mended by running on: one sentence on stderr, exit 2.
refuse() {
  printf 'set-up: %s\n' "$*" >&2
  exit 2
}

# run_step TEXT MEND COMMAND...: say what is done, keep saying it while it takes long, tell how long
# it took. A command that fails shows the end of its output, then refuses with the mend.
run_step() {
  local text=$1 mend=$2 log started=$SECONDS status=0 heartbeat
  shift 2
  log=$(mktemp)
  say "$text"
  beat "$log" &
  heartbeat=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$heartbeat" 2>/dev/null || true
  wait "$heartbeat" 2>/dev/null || true
  if ((status != 0)); then
    tail -n "$LOG_TAIL_LINES" "$log" | sed 's/^/  | /'
    rm -f "$log"
    refuse "$text failed (exit $status); $mend"
  fi
  rm -f "$log"
  ((SECONDS - started <= QUIET_STEP_S)) || say "  done in $((SECONDS - started)) s"
}

# The sleeping child outlives its parent's end; it must not keep the caller's pipes open.
beat() {
  local log=$1 waited_s=0
  while sleep "$HEARTBEAT_S" >/dev/null 2>&1; do
    waited_s=$((waited_s + HEARTBEAT_S))
    say "  $waited_s s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-90)"
  done
}
