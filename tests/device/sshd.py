"""A real sshd on loopback with keys, port and configuration of its own, and an ssh that knows it.

It needs no root: it lets in the user that runs the tests. Beside it a proxy that cuts connections after so many bytes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_SECONDS = 20.0


class Sshd:
    """What its tests need of it: `log`, and `hosts`, the text that the tests' ssh has for a configuration."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.log = folder / "sshd.log"
        for key in ("host_key", "user_key", "stranger_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", folder / key], check=True, timeout=60
            )
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        (folder / "known_hosts").write_text(f"loopback {(folder / 'host_key.pub').read_text()}")
        if os.getuid() == 0:  # sshd asks for it of root alone; its own service makes it at every start
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for _attempt in range(5):
            self.port = _free_port()
            if self._start(program):
                return
        raise AssertionError(f"sshd does not start: {self.log.read_text()}")

    def _start(self, program: str) -> bool:
        config = self.folder / "sshd_config"
        config.write_text(
            f"""
            ListenAddress 127.0.0.1:{self.port}
            HostKey {self.folder}/host_key
            AuthorizedKeysFile {self.folder}/authorized_keys
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin prohibit-password
            PermitUserRC no
            MaxStartups 100
            """
        )
        self.process = subprocess.Popen(
            [program, "-D", "-f", config, "-E", self.log], stdin=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    return True
            time.sleep(0.05)
        self.stop()
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)

    def host(self, alias: str, port: int | None = None, key: str = "user_key", known: str = "known_hosts") -> str:
        """A host's part of an ssh configuration: this sshd, by another name."""
        return f"""
            Host {alias}
                HostName 127.0.0.1
                HostKeyAlias loopback
                Port {port or self.port}
                User {pwd.getpwuid(os.getuid()).pw_name}
                IdentityFile {self.folder}/{key}
                IdentitiesOnly yes
                IdentityAgent none
                UserKnownHostsFile {self.folder}/{known}
                GlobalKnownHostsFile none
                StrictHostKeyChecking yes
                ControlPath none
            """


def require_sshd() -> str:
    """The program's whole path, as sshd wants to be called; skips where there is none, but not in CI."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None] + ([] if program else ["sshd"])
    if missing and not os.environ.get("CI"):
        pytest.skip(f"needs {', '.join(missing)} (Debian: openssh-client, openssh-server)")
    assert program is not None, missing
    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        pytest.skip(f"needs a user that has a name, to log in as; {os.getuid()} has none")
    if Path(shell).name in ("nologin", "false"):
        pytest.skip(f"needs a user that may log in; this one's shell is {shell}")
    return program


def write_ssh(folder: Path, configuration: str) -> None:
    """Makes `folder`/ssh: the system's ssh with this configuration instead of the user's."""
    folder.mkdir(exist_ok=True)
    (folder / "ssh_config").write_text(configuration)
    others = [place for place in os.environ["PATH"].split(os.pathsep) if place != str(folder)]
    program = shutil.which("ssh", path=os.pathsep.join(others))
    (folder / "ssh").write_text(f'#!/bin/sh\nexec {program} -F {folder}/ssh_config "$@"\n')
    (folder / "ssh").chmod(0o755)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cutting_proxy(port: int, after_bytes: int) -> Iterator[int]:
    """A port that leads to `port`; each connection is cut when so many bytes have gone up, as by a pulled cable."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                down, _ = listener.accept()
                up = socket.create_connection(("127.0.0.1", port), timeout=30)
                for source, sink, most in ((down, up, after_bytes), (up, down, None)):
                    threads.append(threading.Thread(target=carry, args=(source, sink, most), daemon=True))
                    threads[-1].start()

    def carry(source: socket.socket, sink: socket.socket, most: int | None) -> None:
        carried = 0
        with suppress(OSError):
            while data := source.recv(4096):
                carried += len(data)
                if most is not None and carried > most:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join(timeout=10)
        for thread in threads:
            thread.join(timeout=10)
