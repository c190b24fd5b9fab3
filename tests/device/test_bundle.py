"""A push into a folder, and the folder on a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from device import pushes

from edgert.device import DeviceError, LinkError, PushOptions, push
from edgert.device.transports.file import write_bundle


def install(home: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-P", "-m", "edgert", "agent", "--once", folder, "--home", home]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_push_to_a_stick_and_from_it(tmp_path: Path) -> None:
    key = pushes.key()
    home = pushes.home(tmp_path / "home", key)
    (tmp_path / "stick").mkdir()
    package = pushes.package(tmp_path / "classifier.ert", 300_000)
    result = push(package, f"file:{tmp_path / 'stick'}", key)
    assert (result.state, result.bytes_sent, result.bytes_total) == (
        "written",
        package.stat().st_size,
        package.stat().st_size,
    )
    done = install(home, tmp_path / "stick")
    assert done.returncode == 0, done
    (report,) = (tmp_path / "stick").glob("result-*.json")
    assert json.loads(report.read_text())["state"] == "pending"

    # The next one takes its place.
    second = push(pushes.package(package, 300_000, seed=1), f"file:{tmp_path / 'stick'}", key)
    assert second.sha256 != result.sha256
    (stored,) = (tmp_path / "stick" / "edgert-push" / "objects").iterdir()
    assert stored.name == second.sha256


def test_for_one_kind_of_device_only(tmp_path: Path) -> None:
    """No device is there to be asked: what it must be is signed, and the device looks."""
    key = pushes.key()
    home = pushes.home(tmp_path / "home", key)
    package = pushes.package(tmp_path / "classifier.ert", 100_000)
    push(package, f"file:{tmp_path}", key, PushOptions(devices=("d1f0",)))
    done = install(home, tmp_path)
    assert done.returncode == 1
    assert "d1f0" in done.stderr


def test_the_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"none is no folder; make it, or plug in"):
        write_bundle(tmp_path / "none", b"m", b"s", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a file system that is full")
def test_a_full_folder_keeps_what_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path, b"old", b"s", {"00": b"old object"})
    real = os.fsync

    def full(descriptor: int) -> None:
        """The disk's last block was taken by the object: file systems may say so as late as that."""
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/objects/01"):
            with open("/dev/full", "wb", buffering=0) as disk:
                disk.write(b"x")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LinkError, match="it is full; what it held before is untouched"):
        write_bundle(tmp_path, b"new", b"s", {"01": b"new object"})
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "00",
        "edgert-push",
        "manifest",
        "objects",
        "signature",
    ]
    assert (tmp_path / "edgert-push" / "manifest").read_bytes() == b"old"


def test_stopped_at_any_step_it_is_the_old_one_the_new_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stick is pulled out before each of the calls that change it, in turn; then the next push succeeds."""
    bundles = {b"old": {"00": b"old object"}, b"new": {"01": b"new object"}}
    reached = True
    step = 0
    while reached:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        write_bundle(folder, b"old", b"s", bundles[b"old"])
        reached = stopped(step, folder, bundles[b"new"])
        there = folder / "edgert-push"
        if there.exists():
            manifest = (there / "manifest").read_bytes()
            stored = {path.name: path.read_bytes() for path in (there / "objects").iterdir()}
            assert stored == bundles[manifest], step
        write_bundle(folder, b"new", b"s", bundles[b"new"])
        assert (there / "manifest").read_bytes() == b"new"
        assert [path.name for path in folder.iterdir()] == ["edgert-push"]
    assert step > 12


def stopped(step: int, folder: Path, objects: dict[str, bytes]) -> bool:
    """Runs a push in a process that ends, as if the power went, before its `step`th change; whether it came so far."""
    code = f"""
import os, sys
from pathlib import Path
left = {step}
def hook(event, args):
    global left
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or writes:
        left -= 1
        if left == 0:
            os._exit(9)
from edgert.device.transports.file import write_bundle
sys.addaudithook(hook)
write_bundle(Path({str(folder)!r}), b"new", b"s", {objects!r})
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode == 9


def test_two_pushes_at_once(tmp_path: Path) -> None:
    import fcntl

    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(DeviceError, match="another push is writing"):
            write_bundle(tmp_path, b"m", b"s", {})
    finally:
        os.close(descriptor)
