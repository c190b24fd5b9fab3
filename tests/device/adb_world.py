"""The real adb, client and server, with a port and a home of its own, and stand-ins for devices (adbd.py)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 60


def require_adb() -> str:
    """Skips where there is no adb, but not in CI."""
    program = shutil.which("adb")
    if program is None and not os.environ.get("CI"):
        pytest.skip("needs adb (Debian: adb)")
    assert program is not None
    return program


@contextmanager
def adb_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An adb server that this process's adb finds, and nobody else's does."""
    program = require_adb()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    monkeypatch.setenv("HOME", str(home))  # its keys
    monkeypatch.setenv("ADB_MDNS", "0")
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    log = home / "adb.log"
    monkeypatch.setenv("ANDROID_ADB_LOG_PATH", str(log))
    quiet = subprocess.DEVNULL  # not a pipe: the server would keep it open
    subprocess.run([program, "start-server"], stdin=quiet, stdout=quiet, stderr=quiet, check=True, timeout=SECONDS)
    try:
        yield
    finally:
        subprocess.run([program, "kill-server"], stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=SECONDS)


def _run(*words: str) -> str:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS).stdout


@contextmanager
def device(home: Path, *more: str) -> Iterator[str]:
    """A device whose shell's home this is; gives its serial number. Needs adb_server around it."""
    program = require_adb()
    home.mkdir(exist_ok=True)
    environment = (f"HOME={home}", f"PATH={home}/bin:/usr/bin:/bin")
    words = [word for pair in environment for word in ("--environment", pair)]
    daemon = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("adbd.py"), *words, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    assert daemon.stdin is not None
    try:
        serial = f"127.0.0.1:{int(daemon.stdout.readline())}"
        connected = _run(program, "connect", serial)
        assert connected.startswith("connected to"), connected
        _run(program, "-s", serial, "wait-for-device")
        yield serial
        _run(program, "disconnect", serial)
    finally:
        daemon.stdin.close()
        try:
            daemon.wait(timeout=20)
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
