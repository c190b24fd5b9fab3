"""The files of targets/: each is read, says what the table in targets/README.md says, and where it has that from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgert.errors import InputError
from edgert.runtime import _native
from edgert.targets import HOST, TRANSPORTS, target, targets
from edgert.targets.definition import read_target

FOLDER = Path(__file__).resolve().parents[2] / "targets"
FILES = sorted(FOLDER.glob("*.toml"))
ORDER = {
    "x86_64": ("sse41", "avx2", "avxvnni", "avx512vnni", "amx", "intel"),
    "aarch64": ("neon", "neondot", "neoni8mm"),
    "armv7": ("neon",),
}
BOARDS = ("raspberry-pi-zero-2w", "raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5")


def test_the_names_that_people_expect() -> None:
    names = [found.name for found in targets()]
    assert names[0] == HOST
    assert {*BOARDS, *(f"{board}-32" for board in BOARDS)} <= set(names)
    assert {"android-arm64", "android-arm64-dotprod", "android-arm64-i8mm", "android-armv7"} <= set(names)
    assert {"x86-64", "aarch64", "armv7"} <= set(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file(path: Path) -> None:
    found = read_target(path)
    assert found == target(path.stem)
    assert found.instruction_sets
    assert found.instruction_sets == tuple(name for name in ORDER[found.architecture] if name in found.instruction_sets)
    assert list(found.memory_sizes) == sorted(found.memory_sizes)
    assert found.page_sizes
    assert found.transports
    assert list(found.transports) == sorted(found.transports, key=TRANSPORTS.index)
    if path.stem.startswith("raspberry-pi-"):
        assert found.processor
        assert found.cores == 4
        assert found.memory_sizes
        assert found.architecture == ("armv7" if path.stem.endswith("-32") else "aarch64")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_has_its_source_in_a_comment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    keys, source = [], ""
    for line in lines:
        if line.startswith("#"):
            source += line
        elif key := line.partition(" = ")[0]:
            # cores are named with the processor; what a device is called and runs needs no source
            if key not in ("description", "architecture", "cores"):
                assert re.search(r"https?://|Manual|Guide|Linux|github\.com|GNU ld|Debian", source), f"{path}: {line}"
            keys.append(key)
            source = ""
    assert keys[:2] == ["description", "architecture"]


def test_the_readme_explains_every_key() -> None:
    used = {line.partition(" = ")[0] for path in FILES for line in path.read_text().splitlines() if " = " in line}
    used = {key for key in used if not key.startswith("#")}
    explained = set(re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE))
    assert used == explained


def test_pages_of_the_pi_5() -> None:
    assert target("raspberry-pi-5").page_sizes[0] == 16384
    assert target("raspberry-pi-5-32").page_sizes == (4096,)


def test_the_host_is_what_the_runtime_finds() -> None:
    architecture, names = _native.host_target()
    assert (target(HOST).architecture, " ".join(target(HOST).instruction_sets)) == (architecture, names)


@pytest.mark.parametrize("name", ["toaster", "", "..", "../targets/armv7", "armv7.toml", "/etc/passwd"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(InputError, match=r"there is no target .*; there are host, aarch64, "):
        target(name)


GOOD = 'description = "one"\narchitecture = "armv7"\ninstruction_sets = ["neon"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = ", "cannot be read"),
        (GOOD.replace('"armv7"', '"mips"'), "architecture 'mips'; needed one of x86_64, aarch64, armv7"),
        (GOOD.replace("description", "describtion"), "describtion: no such key; there are architecture, cores"),
        ('description = "one"\narchitecture = "armv7"\n', "it has no 'instruction_sets'"),
        (GOOD + 'transports = ["pigeon"]\n', "transport 'pigeon'; needed some of serial, ssh, adb, file"),
        (GOOD + "page_bytes = [5000]\n", "page_bytes 5000; needed powers of two"),
        (GOOD + 'memory_mib = ["much"]\n', "invalid literal"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(GOOD)
    assert read_target(path).name == "odd"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_target(path)
