# shellcheck shell=bash
# What must be installed on the host, from Debian's packages, and only if it is missing.

has() {
  command -v "$1" >/dev/null 2>&1
}

# list_missing PURPOSE: the Debian packages that this machine lacks, one a line.
list_missing() {
  find_python >/dev/null || echo python3
  has_venv_module || echo python3-venv
  [[ $1 != check ]] || return 0
  has mke2fs || [[ -x /usr/sbin/mke2fs ]] || echo e2fsprogs
  has mmdebstrap || echo mmdebstrap
  # That machine has an engine's runtime of its own.
  [[ $1 != aarch64 ]] || { has qemu-system-aarch64 || echo qemu-system-arm; return 0; }
  if ! has docker || { ! engine_answers && ! has dockerd; }; then echo docker.io; fi
  # Tests run containers under runsc too, on an engine of their own where the default lacks it.
  [[ $1 != test ]] || has dockerd || echo docker.io
  # The guest's disks are made by a private engine and run in an emulated machine.
  [[ $1 != guest ]] || has dockerd || echo docker.io
  [[ $1 != guest ]] || { has qemu-system-x86_64 || echo qemu-system-x86; has mke2fs || echo e2fsprogs; }
  # The service is tried under a systemd of its own, with an engine of its own; units are checked, too.
  [[ $1 != systemd ]] || has dockerd || echo docker.io
  [[ $1 != systemd ]] || { has ps || echo procps; }
  [[ $1 != systemd && $1 != test ]] || has systemd-analyze || echo systemd
  # A client without the plugin gets Debian's docker-compose (1.29); what it does is the same.
  [[ $1 != compose ]] || docker compose version >/dev/null 2>&1 || has docker-compose || echo docker-compose
  # Its redis-check-rdb is the server, too, under another name. The package of that name would start one.
  [[ $1 != test ]] || has redis-check-rdb || echo redis-tools
  [[ $1 != test ]] || { has curl || echo curl; has ps || echo procps; has openssl || echo openssl; has ip || echo iproute2; }
  # The audit log is shipped to a real syslog daemon, which each test starts for itself.
  [[ $1 != test ]] || has rsyslogd || printf "%s\n" rsyslog rsyslog-gnutls
  has runsc || echo runsc
  has npm || printf '%s\n' nodejs npm
}

# Without an init system, a package's service script would start an engine with a configuration
# that is nobody's; in run level 1 it leaves that to us.
apt_get() {
  local -x DEBIAN_FRONTEND=noninteractive
  [[ -d /run/systemd/system ]] || local -x RUNLEVEL=1
  apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
}

install_missing() {
  local purpose=$1 missing left
  missing=$(list_missing "$purpose" | sort -u | tr '\n' ' ')
  missing=${missing% }
  [[ -n $missing ]] || return 0
  ((EUID == 0)) || refuse "missing: $missing; install these Debian packages as root and run this again."
  has apt-get || refuse "missing: $missing, and there is no apt-get; install them with this system's package manager and run this again."
  run_step "reading the package lists" "check the network and /etc/apt/sources.list.d." \
    apt_get update
  # shellcheck disable=SC2086 # the names are meant to be split
  run_step "installing $missing (Debian packages)" "check the network and the free disk space." \
    apt_get install --no-install-recommends $missing
  hash -r
  left=$(list_missing "$purpose" | sort -u | tr '\n' ' ')
  [[ -z $left ]] || refuse "still missing after the installation: ${left% }; Debian 12 or newer is needed."
}

# promtool checks the alert rules, and a Prometheus runs the dashboards' queries. Both are taken out of
# Debian's package, which is not installed: that would start a Prometheus that nobody asked for.
fetch_prometheus() {
  local tools=$1 program
  for program in prometheus promtool; do
    has "$program" || [[ -x $tools/$program ]] || {
      has apt-get || refuse "missing: $program; install Prometheus with this system's package manager and run this again."
      run_step "fetching $program (from Debian's package of Prometheus)" \
        "check the network and the free disk space." unpack_prometheus "$tools"
    }
  done
}

unpack_prometheus() {
  local tools=$1 scratch
  scratch=$(mktemp -d)
  (
    cd -- "$scratch"
    apt-get download prometheus || { apt_get update && apt-get download prometheus; }
    dpkg-deb --extract ./prometheus_*.deb .
  )
  install -D --target-directory "$tools" "$scratch/usr/bin/prometheus" "$scratch/usr/bin/promtool"
  rm -rf -- "$scratch"
}

# The tests' PostgreSQL, where there is none. Its package, installed, would make a cluster and start it.
fetch_postgresql() {
  local tools=$1
  compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || [[ -x $tools/postgresql/bin/postgres ]] || {
    has apt-get || refuse "missing: PostgreSQL for the tests; install it with this system's package manager and run this again."
    run_step "fetching PostgreSQL (from Debian's package)" \
      "check the network and the free disk space." unpack_postgresql "$tools"
  }
}

# needs_of PACKAGE PATTERN: what it depends on, by name.
needs_of() {
  apt-cache depends --no-suggests --no-recommends "$1" |
    awk -v pattern="$2" '$1 == "Depends:" && $2 ~ pattern {print $2}'
}

unpack_postgresql() {
  local tools=$1 scratch package
  package=$(needs_of postgresql '^postgresql-[0-9]+$')
  [[ -n $package ]] || { apt_get update; package=$(needs_of postgresql '^postgresql-[0-9]+$'); }
  # of what the server needs, these start nothing; LLVM is for what the tests do not use
  # shellcheck disable=SC2046 # the names are meant to be split
  apt_get install --no-install-recommends --no-upgrade $(needs_of "$package" '^lib' | grep -v llvm)
  scratch=$(mktemp -d)
  (
    cd -- "$scratch"
    apt-get download "$package" || { apt_get update && apt-get download "$package"; }
    dpkg-deb --extract ./"$package"_*.deb .
    rm -- ./"$package"_*.deb
  )
  mkdir -p -- "$tools"
  # as a whole, since the programs look beside themselves for what they share
  rm -rf -- "$tools/postgresql-files"
  mv -- "$scratch" "$tools/postgresql-files"
  chmod -R a+rX -- "$tools/postgresql-files"
  ln -sfn "postgresql-files/usr/lib/postgresql/${package#postgresql-}" "$tools/postgresql"
}
