"""Where a device is, as text: what `edgert push` takes as TARGET.

    serial:/dev/ttyUSB0?baud=921600&framing=cobs
    ssh://user@host:port/home/dir?agent=COMMAND
    adb:SERIAL?home=DIR&agent=COMMAND
    file:DIR

Everything but the kind and what follows it may be left out. COMMAND is what stands for `edgert` in the device's shell
(`/opt/edgert/bin/edgert`, `docker exec -i app edgert`); %20 is a space in it. The path of ssh:// and `home` of adb: are
the agent's home on the device; `/~/dir` is relative to that of the user. A name without a colon is none of these: it is
looked up in edgert-devices.toml (edgert.device.devices_file).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote

from edgert.errors import InputError

KINDS = ("serial:", "ssh://", "adb:", "file:")
FRAMINGS = ("cobs", "console")
DEFAULT_BAUD = 115200
MOST_BAUD = 20_000_000  # beyond any UART; a USB gadget takes no notice of it
DEFAULT_AGENT = "edgert"


@dataclass(frozen=True)
class SerialAddress:
    """device: what pyserial opens, as /dev/ttyUSB0 or COM3. framing: "cobs", or "console" for a Zephyr console."""

    device: str
    baud: int = DEFAULT_BAUD
    framing: str = "cobs"

    def __str__(self) -> str:
        options = {"baud": str(self.baud)} if self.baud != DEFAULT_BAUD else {}
        if self.framing != "cobs":
            options["framing"] = self.framing
        return f"serial:{self.device}{_query(options)}"


@dataclass(frozen=True)
class SshAddress:
    """What is None is left to the user's configuration of ssh (user, port) or to the agent (home)."""

    host: str
    user: str | None = None
    port: int | None = None
    home: str | None = None
    agent: str = DEFAULT_AGENT

    def __str__(self) -> str:
        user = f"{quote(self.user, safe='')}@" if self.user is not None else ""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        home = (
            "" if self.home is None else quote(self.home if self.home.startswith("/") else f"/{self.home}", safe="/~")
        )
        return f"ssh://{user}{host}{port}{home}{_query(_agent_option(self.agent))}"


@dataclass(frozen=True)
class AdbAddress:
    """serial: as `adb devices` lists it; "" is the only device that is connected, or $ANDROID_SERIAL."""

    serial: str = ""
    home: str | None = None
    agent: str = DEFAULT_AGENT

    def __str__(self) -> str:
        options = {"home": self.home} if self.home is not None else {}
        return f"adb:{self.serial}{_query(options | _agent_option(self.agent))}"


@dataclass(frozen=True)
class FileAddress:
    """A folder, as that of a USB stick, into which a bundle for `edgert agent --once` is written."""

    folder: Path

    def __str__(self) -> str:
        return f"file:{self.folder}"


Address: TypeAlias = SerialAddress | SshAddress | AdbAddress | FileAddress


def is_address(text: str) -> bool:
    """Whether this is meant as an address, and not as a name of edgert-devices.toml."""
    return ":" in text


def parse(text: str) -> Address:
    """The address that the text says. Raises InputError with what is wrong in it and how it should be."""
    if text.startswith("serial:"):
        return _serial(text)
    if text.startswith("ssh://"):
        return _ssh(text)
    if text.startswith("adb:"):
        return _adb(text)
    if text.startswith("file:"):
        folder = text.removeprefix("file:")
        if not folder or "\0" in folder:
            raise InputError(f"{text!r} names no folder; write file:DIR")
        # A shell expands ~ at the beginning of a word only, and so not here.
        return FileAddress(Path.home() / folder[2:] if folder.startswith("~/") else Path(folder))
    raise InputError(
        f"{text!r} is no address of a device; one begins with serial:, ssh://, adb: or file:, "
        "as serial:/dev/ttyUSB0?baud=921600 or ssh://pi@host"
    )


def _serial(text: str) -> SerialAddress:
    device, options = _split(text, "serial:", ("baud", "framing"))
    if not device:
        raise InputError(f"{text!r} names no port; write serial:/dev/ttyUSB0 (`edgert devices` lists them)")
    baud = _number(text, "baud", options.get("baud", str(DEFAULT_BAUD)), MOST_BAUD)
    framing = options.get("framing", "cobs")
    if framing not in FRAMINGS:
        raise InputError(f"{text!r}: there is no framing {framing!r}; there are {' and '.join(FRAMINGS)}")
    return SerialAddress(device, baud, framing)


_HOST = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_USER = re.compile(r"[^-\s\0@:/][^\s\0@:/]*")


def _ssh(text: str) -> SshAddress:
    rest, options = _split(text, "ssh://", ("agent",))
    where, slash, path = rest.partition("/")
    user, at, host = where.rpartition("@")
    user = unquote(user)
    if at and not _USER.fullmatch(user):
        raise InputError(f"{text!r}: {user!r} is no user's name; write ssh://user@host, without a password")
    if host.startswith("["):
        host, closed, after = host[1:].partition("]")
        if not closed or (after and not after.startswith(":")):
            raise InputError(f"{text!r}: an IPv6 address stands as ssh://[address]:port")
        host, port = unquote(host), after.removeprefix(":")
    else:
        host, _, port = host.partition(":")
    # ssh would take a name that begins with "-" for an option, and runs commands that some options name.
    if not _HOST.fullmatch(host):
        raise InputError(f"{text!r}: {host!r} is no host; write ssh://user@host:port")
    home = unquote(path) if path else None
    return SshAddress(
        host,
        user if at else None,
        _number(text, "port", port, 65535) if port else None,
        _home(text, home if home is None or home.startswith("~/") else f"/{home}") if slash else None,
        _agent(text, options),
    )


_ADB_SERIAL = re.compile(r"([^-\s\0?][^\s\0?]*)?")


def _adb(text: str) -> AdbAddress:
    serial, options = _split(text, "adb:", ("home", "agent"))
    if not _ADB_SERIAL.fullmatch(serial):
        raise InputError(f"{text!r}: {serial!r} is no serial number; `adb devices` lists those that are connected")
    return AdbAddress(serial, _home(text, options.get("home")), _agent(text, options))


def _home(text: str, home: str | None) -> str | None:
    if home is None:
        return None
    if not home.startswith(("/", "~/")) or not home.isprintable():
        raise InputError(f"{text!r}: the agent's home {home!r} is no whole path; begin it with / or ~/")
    return home


def _agent(text: str, options: dict[str, str]) -> str:
    agent = options.get("agent", DEFAULT_AGENT)
    if not agent.strip() or not agent.isprintable():
        raise InputError(f"{text!r}: agent= names no command; it stands for `edgert` on the device")
    return agent


def _agent_option(agent: str) -> dict[str, str]:
    return {"agent": agent} if agent != DEFAULT_AGENT else {}


def _split(text: str, kind: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """What stands between the kind and "?", and the options after it, all of which must be known ones."""
    rest, _, query = text.removeprefix(kind).partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known or name in options:
            what = f"{name!r} twice" if name in options else f"no option {name!r}"
            raise InputError(f"{text!r}: there is {what}; {kind} knows {', '.join(known)}")
        options[name] = unquote(value)  # not unquote_plus: a + in a command is a +
    return rest, options


def _query(options: dict[str, str]) -> str:
    return "?" + "&".join(f"{name}={quote(value, safe='/~:,')}" for name, value in options.items()) if options else ""


def _number(text: str, what: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:12]) <= most):
        raise InputError(f"{text!r}: the {what} {value!r} is no number from 1 to {most}")
    return int(value)
