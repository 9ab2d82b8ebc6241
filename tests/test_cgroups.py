"""Limits of control groups, from trees of files as Linux shows them."""

import math

import pytest

from coadapt import devices, sweep
from coadapt.system import cgroups

MIB = 2**20
V2 = "30 23 0:26 {top} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:27 {top} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    "32 23 0:28 {top} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
)
OTHER = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
GROUP, MEMORY, CPU = (
    "sys/fs/cgroup",
    "sys/fs/cgroup/memory",
    "sys/fs/cgroup/cpu,cpuacct",
)
V1_NONE = str(2**63 - 4096)


def v2(folder, **files):
    return {f"{folder}/{k.replace('_', '.', 1)}": v for k, v in files.items()}


# what is there; free MiB, and cores
TREES = {
    "a container": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": OTHER + V2.format(top="/"),
            **v2(GROUP, memory_max=f"{800 * MIB}\n", memory_current=f"{300 * MIB}\n",
                 memory_stat=f"anon 1\ninactive_file {100 * MIB}\n",
                 cpu_max="200000 100000\n"),
        }, 600, 2,
    ),
    "a slice, limited above": (
        {
            "proc/self/cgroup": "0::/user.slice/job.scope\n",
            "proc/self/mountinfo": V2.format(top="/"),
            **v2(f"{GROUP}/user.slice/job.scope", memory_max="max\n",
                 memory_current=f"{MIB}\n", cpu_max="max 100000\n"),
            **v2(f"{GROUP}/user.slice", memory_max=f"{500 * MIB}\n",
                 memory_current=f"{100 * MIB}\n", cpu_max="150000 100000\n"),
        }, 400, 1.5,
    ),
    "a container that sees its host's path": (
        {
            "proc/self/cgroup": "5:memory:/docker/a1\n4:cpu,cpuacct:/docker/a1\n",
            "proc/self/mountinfo": V1.format(top="/docker/a1"),
            f"{MEMORY}/memory.limit_in_bytes": f"{900 * MIB}\n",
            f"{MEMORY}/memory.usage_in_bytes": f"{200 * MIB}\n",
            f"{MEMORY}/memory.stat": f"total_inactive_file {50 * MIB}\n",
            f"{CPU}/cpu.cfs_quota_us": "300000\n",
            f"{CPU}/cpu.cfs_period_us": "100000\n",
        }, 750, 3,
    ),
    "version 1 without a limit": (
        {
            "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/\n0::/\n",
            "proc/self/mountinfo": V1.format(top="/") + V2.format(top="/"),
            f"{MEMORY}/memory.limit_in_bytes": V1_NONE,
            f"{MEMORY}/memory.usage_in_bytes": f"{200 * MIB}\n",
            f"{CPU}/cpu.cfs_quota_us": "-1\n",
            f"{CPU}/cpu.cfs_period_us": "100000\n",
        }, math.inf, math.inf,
    ),
    "more is used than is allowed": (
        {
            "proc/self/cgroup": "0::/a\n",
            "proc/self/mountinfo": V2.format(top="/"),
            **v2(f"{GROUP}/a", memory_max=f"{MIB}\n", memory_current=f"{2 * MIB}\n"),
        }, 0, math.inf,
    ),
    "nothing of it": ({"proc/self/cgroup": ":\n\n0::\n"}, math.inf, math.inf),
    "no Linux": ({}, math.inf, math.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_limits_are_the_smallest_of_a_group_and_those_above(name, tmp_path):
    files, free, cores = TREES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert cgroups.memory(tmp_path) == free * MIB
    assert cgroups.cores(tmp_path) == cores


def test_a_plan_takes_the_smaller_of_a_container_and_its_machine(monkeypatch):
    monkeypatch.setattr(cgroups, "memory", lambda: 100.0 * MIB)
    assert sweep.available_memory() == 80 * MIB  # a fifth is the programs' own
    monkeypatch.setattr(cgroups, "memory", lambda: math.inf)
    assert sweep.available_memory() > 80 * MIB


@pytest.mark.parametrize("allowed, found", [(0.5, 1), (1.5, 2), (3, 3), (math.inf, 8)])
def test_devices_are_as_many_as_a_container_has_cores(allowed, found, monkeypatch):
    monkeypatch.setattr(cgroups, "cores", lambda: allowed)
    monkeypatch.setattr(
        devices.os, "sched_getaffinity", lambda _: set(range(8)), raising=False
    )
    assert devices.cores() == found
