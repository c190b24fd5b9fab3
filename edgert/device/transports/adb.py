"""A device that the `adb` binary reaches: Android, and boards that run adbd, over USB or TCP.

Its environment counts as always: ANDROID_ADB_SERVER_PORT, ANDROID_SERIAL, ADB_VENDOR_KEYS. The device must know adb's
second shell protocol (Android 7 and later), which alone keeps bytes as they are and standard error apart.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgert.device.address import AdbAddress
from edgert.device.errors import LinkError
from edgert.device.stream import ByteStream
from edgert.device.transports.process import ProcessStream, agent_command
from edgert.device.transports.ssh import explain_agent
from edgert.device.words import last_line

START_SECONDS = 30.0  # adb may have to start its server first
MORE_PATH = (
    "/data/local/tmp/edgert/bin",
    "$HOME/.local/bin",
    "/opt/edgert/bin",
)  # the first: what adb's shell may write


def adb_program() -> str | None:
    """adb from the path, or from the Android SDK where that is named."""
    sdks = (os.environ.get(name) for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"))
    places = (str(Path(sdk) / "platform-tools") for sdk in sdks if sdk)
    return shutil.which("adb") or next((found for at in places if (found := shutil.which("adb", path=at))), None)


async def open_adb(address: AdbAddress) -> ByteStream:
    """Raises LinkError when adb does not reach the device, and, from the stream's first read, AgentMissingError when
    it has no agent."""
    program = adb_program()
    if program is None:
        raise LinkError("there is no adb on this machine, which reaches adb: devices; install Android's platform-tools")
    which = ("-s", address.serial) if address.serial else ()
    command = agent_command(address.agent, address.home, MORE_PATH)
    argv = [program, *which, "shell", "-T", command]
    return await ProcessStream.open(argv, str(address), lambda code, text: _explain(address, code, text), START_SECONDS)


_MENDED = (
    ("unauthorized", "allow this machine in the question that the device shows, then push again"),
    ("offline", "unplug it and plug it in again"),
    ("not found", "`adb devices` lists those that are connected"),
    ("no devices", "connect one with USB debugging switched on; `adb devices` lists them"),
    ("more than one device", "say which, as adb:SERIAL; `adb devices` lists them"),
    ("no permissions", "let this user open the USB device (Debian: the package android-sdk-platform-tools-common)"),
    ("a pty", "it runs a system before Android 7, whose shell alters bytes; push with file: instead"),
    ("pty args", "it runs a system before Android 7, whose shell alters bytes; push with file: instead"),
    ("cannot connect to daemon", "check adb's server with `adb start-server`"),
)


def _explain(address: AdbAddress, code: int, complaints: str) -> LinkError:
    lines = [line for line in complaints.splitlines() if not line.startswith("* ")]  # adb about its own server
    text = "\n".join(lines)
    own = next((line for line in lines if line.startswith(("error:", "adb:"))), None)
    if own is not None or code < 0:
        low = text.lower()
        mend = next((how for sign, how in _MENDED if sign in low), "push again to go on where it stopped")
        said = last_line(own or "").removeprefix("error: ").removeprefix("adb: ").removeprefix("error: ").rstrip(".")
        return LinkError(f"{address}: {said or 'the connection broke'}; {mend}")
    if code == 1 and not text:
        return LinkError(f"{address}: the connection broke; push again to go on where it stopped")
    return explain_agent(str(address), address.agent, code, text)
