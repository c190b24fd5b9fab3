"""The probe: on this machine, in containers that are made of files, and under qemu where it is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgert.errors import InputError
from edgert.runtime import _native
from edgert.targets import Probe, probe

MIB = 1 << 20


def fake_root(folder: Path, total_kib: int, groups: str, limits: dict[str, str]) -> Path:
    """A folder with the files under /proc and /sys that the probe reads."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal:       {total_kib} kB\nMemFree:         1000 kB\n")
    (folder / "proc/self/cgroup").write_text(groups)
    for name, text in limits.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


def test_this_machine() -> None:
    here = probe()
    architecture, names = _native.host_target()
    if architecture:
        assert here.architecture == architecture
    assert " ".join(here.instruction_sets) == names
    assert here.page_size == os.sysconf("SC_PAGE_SIZE")
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert found is not None
    assert 16 * MIB < here.memory_bytes <= int(found.group(1)) * 1024


def test_without_control_groups(tmp_path: Path) -> None:
    root = fake_root(tmp_path, 430_000, "", {})
    assert probe(root).memory_bytes == 430_000 * 1024
    assert probe(root).cores == len(os.sched_getaffinity(0))


def test_where_nothing_says_how_much_memory_there_is(tmp_path: Path) -> None:
    assert probe(tmp_path).memory_bytes == 0


def test_the_least_limit_above_counts(tmp_path: Path) -> None:
    """Version 2: a service without a limit in a slice with one."""
    limits = {
        "system.slice/edgert.service/memory.max": "max",
        "system.slice/memory.max": str(300 * MIB),
        "system.slice/cpu.max": "150000 100000",
        "system.slice/edgert.service/cpu.max": "max 100000",
        "memory.max": str(900 * MIB),
    }
    root = fake_root(tmp_path, 2_000_000, "0::/system.slice/edgert.service\n", limits)
    assert probe(root).memory_bytes == 300 * MIB
    assert probe(root).cores == min(2, len(os.sched_getaffinity(0)))


def test_a_container_with_a_name_space_of_its_own(tmp_path: Path) -> None:
    root = fake_root(tmp_path, 2_000_000, "0::/\n", {"memory.max": str(128 * MIB), "cpu.max": "20000 100000"})
    assert probe(root).memory_bytes == 128 * MIB
    assert probe(root).cores == 1


def test_a_container_that_sees_the_hosts_path(tmp_path: Path) -> None:
    """Version 1 as Docker mounted it: the path of the host's group, and the container's group at the mount's root."""
    groups = "9:memory:/docker/0123456789ab\n4:cpu,cpuacct:/docker/0123456789ab\n1:name=systemd:/docker/0123456789ab\n"
    limits = {
        "memory/memory.limit_in_bytes": str(256 * MIB),
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
    }
    root = fake_root(tmp_path, 2_000_000, groups, limits)
    assert probe(root).memory_bytes == 256 * MIB
    assert probe(root).cores == len(os.sched_getaffinity(0))


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    """ "None" is a number there, larger than any memory."""
    root = fake_root(tmp_path, 2_000_000, "4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"})
    assert probe(root).memory_bytes == 2_000_000 * 1024


def test_files_that_make_no_sense(tmp_path: Path) -> None:
    root = fake_root(tmp_path, 1000, "nonsense\n0::/../../outside\n:::\n", {"memory.max": "a lot", "cpu.max": "0 0"})
    (root / "proc/meminfo").write_bytes(b"\xff\xfeMemTotal: many kB\nMemTotal\n")
    assert probe(root).memory_bytes == 0
    assert probe(root).cores >= 1


def test_facts_there_and_back() -> None:
    here = Probe("aarch64", ("neon", "neondot"), 8 << 30, 16384, 4)
    assert here.facts()["instruction_sets"] == "neon neondot"
    assert Probe.of({"id": "0f", "runtime": "0.1.0", **here.facts()}) == here


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": 7}, "has architecture 7; needed text"),
        ({"memory_bytes": -1}, "has memory_bytes -1; needed a count"),
        ({"page_size": True}, "has page_size True; needed a count"),
        ({"cores": "4"}, "has cores '4'; needed a count"),
        ({"instruction_sets": ["neon"]}, "has instruction_sets"),
    ],
)
def test_facts_that_a_device_made_up(changed: dict[str, object], message: str) -> None:
    facts = {**Probe("armv7", ("neon",), 1, 4096, 1).facts(), **changed}
    with pytest.raises(InputError, match=message):
        Probe.of(facts)


def test_facts_that_are_not_all_there() -> None:
    with pytest.raises(InputError, match="has no page_size"):
        Probe.of({"architecture": "armv7", "instruction_sets": "", "memory_bytes": 0, "cores": 1})


def test_another_machine_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "machine.json"
    monkeypatch.setenv("EDGERT_PROBE", str(path))
    with pytest.raises(InputError, match=r"which EDGERT_PROBE names, cannot be read"):
        probe()
    path.write_text(json.dumps({"architecture": "aarch64", "instruction_sets": "neon", "page_size": 16384}))
    found = probe()
    assert (found.architecture, found.instruction_sets, found.page_size) == ("aarch64", ("neon",), 16384)
    assert found.cores == len(os.sched_getaffinity(0)) or found.cores >= 1
    for text, message in ((json.dumps({"arch": "x"}), "has arch; there are architecture, "), ("[]", "no JSON object")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            probe()


def test_it_imports_little() -> None:
    """The agent imports it on a Pi Zero."""
    code = "import sys, edgert.targets; edgert.targets.probe(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    for name in ("numpy", "click", "tomllib", "asyncio", "subprocess"):
        assert f"'{name}'" not in done.stdout
