# shellcheck shell=bash
# The container engine: whichever answers is used as it is; only where none does, one is started.

readonly DEFAULT_SOCKET=unix:///var/run/docker.sock
readonly ENGINE_DIR=/var/lib/hakoiri-engine
readonly ENGINE_LOG=$ENGINE_DIR/dockerd.log
readonly ENGINE_PIDFILE=/var/run/docker.pid
readonly CONTAINERD_PIDFILE=/var/run/docker/containerd/containerd.pid
readonly ENGINE_WAIT_S=60

engine_host() {
  local host=${HAKOIRI_DOCKER_HOST:-${DOCKER_HOST:-$DEFAULT_SOCKET}}
  [[ $host != unix:///run/docker.sock ]] || host=$DEFAULT_SOCKET
  printf '%s\n' "$host"
}

engine_version() {
  timeout 20 docker -H "$(engine_host)" version --format '{{.Server.Version}}' 2>/dev/null
}

engine_answers() {
  has docker && engine_version >/dev/null
}

ensure_engine() {
  local host
  host=$(engine_host)
  ! engine_answers || return 0
  [[ $host == "$DEFAULT_SOCKET" ]] ||
    refuse "no engine answers on DOCKER_HOST=$host; start that engine, or unset DOCKER_HOST to use the default socket."
  if [[ -d /run/systemd/system ]]; then
    run_step "starting the Docker service" "see: journalctl -u docker" systemctl start docker
  else
    start_engine
  fi
  engine_answers || refuse "the engine started but does not answer on $host; see $ENGINE_LOG or journalctl -u docker."
}

start_engine() {
  local pid
  forget_stale_pid "$CONTAINERD_PIDFILE" containerd
  forget_stale_pid "$ENGINE_PIDFILE" dockerd
  if [[ -e $ENGINE_PIDFILE ]]; then
    pid=$(<"$ENGINE_PIDFILE")
    run_step "waiting for the engine that is already starting (pid $pid)" \
      "dockerd (pid $pid) runs but does not answer: look at its log, stop it and run this again." \
      await_engine "$pid"
    return
  fi
  write_engine_config
  launch_engine
  run_step "starting a Docker engine (log: $ENGINE_LOG)" \
    "read $ENGINE_LOG; in a container, the container must be privileged." await_engine "$!"
}

# After a crash, or in a copy of a disk, the file may name a process that is something else by now;
# dockerd looks only whether the number is in use.
forget_stale_pid() {
  local file=$1 program=$2 pid
  [[ -s $file ]] || { rm -f "$file"; return 0; }
  pid=$(<"$file")
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$program" ]] || rm -f "$file"
}

# No bridge and no firewall rules: our containers have no network at all.
write_engine_config() {
  local runtimes='{}' runsc
  install -d -m 0711 "$ENGINE_DIR"
  if runsc=$(command -v runsc); then
    runtimes='{"runsc": {"path": "'$runsc'", "runtimeArgs":
      ["--network=none", "--host-uds=all", "--oci-seccomp", "--platform=ptrace"]}}'
  fi
  cat >"$ENGINE_DIR/daemon.json" <<JSON
{"bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false, "ip-masq": false,
 "runtimes": $runtimes}
JSON
}

# A session of its own and no open file of ours: it outlives `make` and holds none of its pipes.
launch_engine() {
  local config=(--config-file "$ENGINE_DIR/daemon.json")
  [[ ! -e /etc/docker/daemon.json ]] || config=()
  (
    cd /
    for open in /proc/self/fd/*; do
      ((${open##*/} <= 2)) || eval "exec ${open##*/}>&-"
    done
    exec setsid dockerd "${config[@]}" </dev/null >"$ENGINE_LOG" 2>&1
  ) &
}

# Asks until the engine answers; gives up when its process ends or the time is over.
await_engine() {
  local pid=$1 deadline_s=$((SECONDS + ENGINE_WAIT_S))
  until engine_answers; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline_s)); then
      tail -n 12 "$ENGINE_LOG" 2>/dev/null || true
      return 1
    fi
    sleep 0.3
  done
}
