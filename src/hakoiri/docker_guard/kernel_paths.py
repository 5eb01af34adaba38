"""What a container must not read or write of `/proc` and `/sys`, as the guard knows it.

It says the same as the server's hardening, on purpose a second time; a test holds both together.
"""

import os
from typing import Final

MASKED_PATHS: Final = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
    *(
        f"/sys/devices/system/cpu/cpu{number}/thermal_throttle"
        for number in range(os.cpu_count() or 1)
    ),
    *("/proc/cmdline", "/proc/config.gz", "/proc/kallsyms", "/proc/kmsg", "/proc/kpagecount"),
    *("/proc/kpageflags", "/proc/modules", "/proc/vmallocinfo"),
    *("/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing", "/sys/module"),
)
READ_ONLY_PATHS: Final = (
    *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
    "/sys/fs/cgroup",
    *("/sys/fs/cgroup/blkio", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"),
    *("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/devices"),
    *("/sys/fs/cgroup/freezer", "/sys/fs/cgroup/hugetlb", "/sys/fs/cgroup/memory"),
    *("/sys/fs/cgroup/misc", "/sys/fs/cgroup/net_cls", "/sys/fs/cgroup/net_cls,net_prio"),
    *("/sys/fs/cgroup/net_prio", "/sys/fs/cgroup/perf_event", "/sys/fs/cgroup/pids"),
    *("/sys/fs/cgroup/rdma", "/sys/fs/cgroup/systemd"),
)
