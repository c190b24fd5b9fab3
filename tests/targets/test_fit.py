"""What fits what, and what is said when it does not."""

from __future__ import annotations

import pytest

from edgert.manifest.manifest import Requirement
from edgert.targets import Probe, fits, fits_any, target

PI_4 = Probe("aarch64", ("neon",), 3_900 << 20, 4096, 4)
PI_5 = Probe("aarch64", ("neon", "neondot"), 7_900 << 20, 16384, 4)
PI_5_32 = Probe("armv7", ("neon",), 4 << 30, 4096, 4)
SERVER = Probe("x86_64", ("sse41", "avx2", "avx512vnni"), 1 << 35, 4096, 64)


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("raspberry-pi-4", PI_4),
        ("raspberry-pi-4", Probe("aarch64", ("neon",), 1, 4096, 1)),
        ("raspberry-pi-5", PI_5),
        ("aarch64", PI_5),
        ("aarch64-dotprod", PI_5),
        ("raspberry-pi-5-32", PI_5_32),
        ("armv7", PI_5_32),
        ("x86-64-avx2", SERVER),
        ("x86-64-avx512vnni-intel", SERVER),  # which make it is decides what is quick, not what runs
        ("x86-64", SERVER),
    ],
)
def test_what_fits(name: str, machine: Probe) -> None:
    assert fits(target(name), machine) is None


@pytest.mark.parametrize(
    ("name", "machine", "reason"),
    [
        ("raspberry-pi-5", PI_4, "lacks neondot, needed for raspberry-pi-5 (it has neon)"),
        ("aarch64-i8mm", PI_4, "lacks neondot and neoni8mm, needed for aarch64-i8mm (it has neon)"),
        ("raspberry-pi-4", PI_5, "has memory pages of 16384 bytes, needed 4096 for raspberry-pi-4"),
        ("raspberry-pi-5", PI_5_32, "is armv7 (a 32-bit system), needed aarch64 (a 64-bit system) for raspberry-pi-5"),
        (
            "raspberry-pi-5-32",
            PI_5,
            "is aarch64 (a 64-bit system), needed armv7 (a 32-bit system) for raspberry-pi-5-32",
        ),
        ("x86-64-amx", SERVER, "lacks avxvnni and amx, needed for x86-64-amx (it has sse41 avx2 avx512vnni)"),
        ("armv7", SERVER, "is x86_64, needed armv7 (a 32-bit system) for armv7"),
    ],
)
def test_what_does_not_fit(name: str, machine: Probe, reason: str) -> None:
    assert fits(target(name), machine) == reason


def test_a_manifests_requirement() -> None:
    need = Requirement("mine", "aarch64", ("neon",), (4096, 16384), 4 << 30)
    assert fits(need, PI_5) is None
    assert fits(need, PI_4) == "has 3900.0 MiB of memory, needed 4096.0 MiB"


def test_one_of_several() -> None:
    both = (target("raspberry-pi-5"), target("armv7"))
    assert fits_any(both, PI_5) is None
    assert fits_any(both, PI_5_32) is None
    assert fits_any(both, PI_4) == (
        "lacks neondot, needed for raspberry-pi-5 (it has neon); "
        "it is aarch64 (a 64-bit system), needed armv7 (a 32-bit system) for armv7"
    )
    assert "\n" not in str(fits_any(both, SERVER))


def test_memory_for_the_package() -> None:
    assert fits_any((), PI_4) is None
    assert fits_any((), PI_4, 3 << 30) is None
    assert fits_any((), PI_4, 5 << 30) == "has 3900.0 MiB of memory, needed 5120.0 MiB"
    assert fits_any((target("aarch64"),), PI_4, 5 << 30) == "has 3900.0 MiB of memory, needed 5120.0 MiB"
    unknown = Probe("aarch64", ("neon",), 0, 4096, 1)
    assert fits_any((), unknown, 5 << 30) is None  # nothing says that it has too little
