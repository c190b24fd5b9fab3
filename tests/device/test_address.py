"""Addresses as text, and edgert-devices.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgert.device.address import AdbAddress, Address, FileAddress, SerialAddress, SshAddress, parse
from edgert.device.devices_file import Device, find, load, read, resolve, resolve_all
from edgert.errors import InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("serial:/dev/ttyUSB0", SerialAddress("/dev/ttyUSB0", 115200, "cobs")),
        ("serial:/dev/ttyUSB0?baud=921600&framing=console", SerialAddress("/dev/ttyUSB0", 921600, "console")),
        ("serial:COM3?baud=3000000", SerialAddress("COM3", 3_000_000)),
        ("ssh://host", SshAddress("host")),
        ("ssh://pi@host.local:2222", SshAddress("host.local", "pi", 2222)),
        ("ssh://pi@host/opt/models", SshAddress("host", "pi", None, "/opt/models")),
        ("ssh://host/~/models", SshAddress("host", home="~/models")),
        ("ssh://host/a%20b", SshAddress("host", home="/a b")),
        ("ssh://host?agent=docker%20exec%20-i%20app%20edgert", SshAddress("host", agent="docker exec -i app edgert")),
        ("ssh://host?agent=/opt/c++/edgert", SshAddress("host", agent="/opt/c++/edgert")),
        ("ssh://pi@[fe80::1%25eth0]:22", SshAddress("fe80::1%eth0", "pi", 22)),
        ("ssh://10.0.0.7", SshAddress("10.0.0.7")),
        ("adb:", AdbAddress()),
        ("adb:emulator-5554", AdbAddress("emulator-5554")),
        ("adb:192.168.1.5:5555?home=/data/local/tmp/edgert", AdbAddress("192.168.1.5:5555", "/data/local/tmp/edgert")),
        ("file:/media/stick", FileAddress(Path("/media/stick"))),
        ("file:a?b=c", FileAddress(Path("a?b=c"))),
        ("file:~/stick", FileAddress(Path.home() / "stick")),
        ("file:~0", FileAddress(Path("~0"))),
    ],
)  # fmt: skip
def test_addresses(text: str, address: Address) -> None:
    assert parse(text) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("host", "begins with serial:, ssh://, adb: or file:"),
        ("http://host", "begins with serial:"),
        ("serial:", "names no port"),
        ("serial:/dev/ttyUSB0?baud=fast", "the baud 'fast' is no number"),
        ("serial:/dev/ttyUSB0?baud=0", "no number from 1"),
        ("serial:/dev/ttyUSB0?baud=" + "9" * 5000, "no number from 1"),
        ("serial:/dev/ttyUSB0?speed=9600", "there is no option 'speed'; serial: knows baud, framing"),
        ("serial:/dev/ttyUSB0?baud=9600&baud=9600", "'baud' twice"),
        ("serial:/dev/ttyUSB0?framing=slip", "there is no framing 'slip'"),
        ("ssh://", "'' is no host"),
        ("ssh://-oProxyCommand=touch", "is no host"),
        ("ssh://-oProxyCommand=touch@host", "is no user's name"),
        ("ssh://%2doProxyCommand@host", "is no user's name"),
        ("ssh://pi:secret@host", "without a password"),
        ("ssh://host:port", "the port 'port' is no number"),
        ("ssh://host:70000", "no number from 1 to 65535"),
        ("ssh://[::1", "an IPv6 address stands as"),
        ("ssh://host?agent=", "names no command"),
        ("ssh://host?agent=a%0ab", "names no command"),
        ("ssh://host/a%00b", "is no whole path"),
        ("adb:-x", "is no serial number"),
        ("adb:a b", "is no serial number"),
        ("adb:x?home=relative", "is no whole path"),
        ("file:", "names no folder"),
    ],
)  # fmt: skip
def test_what_is_no_address(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


ANY = st.one_of(st.characters(), st.sampled_from("/@:?&=%[]~-0agent"))


@given(st.sampled_from(["serial:", "ssh://", "adb:", "file:"]), st.text(ANY, max_size=40))
def test_any_text_is_an_address_or_says_why_not(kind: str, rest: str) -> None:
    try:
        address = parse(kind + rest)
    except InputError:
        return
    assert parse(str(address)) == address


# --- edgert-devices.toml ---

FILE = """
[devices]
bench = "serial:/dev/ttyUSB0?baud=921600"
stick = "file:stick"

[devices.kitchen]
address = "ssh://pi@kitchen.local"
for = "raspberry-pi-4"
device_id = "d1f0"
key = "keys/kitchen.pem"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an edgert-devices.toml; the working folder is two below it."""
    (tmp_path / "edgert-devices.toml").write_text(FILE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    return tmp_path


def test_names(project: Path) -> None:
    assert find() == project / "edgert-devices.toml"
    assert resolve("bench") == Device("bench", SerialAddress("/dev/ttyUSB0", 921600))
    assert resolve("stick").address == FileAddress(project / "stick")
    assert resolve("kitchen") == Device(
        "kitchen", SshAddress("kitchen.local", "pi"), "raspberry-pi-4", "d1f0", project / "keys" / "kitchen.pem"
    )
    assert resolve("ssh://pi@kitchen.local").target is None  # an address is what it says, and no more
    with pytest.raises(InputError, match=r"has no device 'garage'; it has bench, stick, kitchen"):
        resolve("garage")


def test_the_nearest_file_counts_and_another_can_be_given(project: Path) -> None:
    nearer = project / "a" / "edgert-devices.toml"
    nearer.write_text('[devices]\ngarage = "adb:"\n')
    assert resolve("garage").address == AdbAddress()
    assert resolve("bench", project / "edgert-devices.toml").name == "bench"


def test_a_device_given_twice_comes_once(project: Path) -> None:
    devices = resolve_all(["kitchen", "serial:/dev/ttyUSB0?baud=921600", "bench", "kitchen"])
    assert [device.name for device in devices] == ["kitchen", "serial:/dev/ttyUSB0?baud=921600"]


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if find() is not None:
        pytest.skip(f"{find()} lies above the folder of the tests")
    assert load() is None
    with pytest.raises(InputError, match=r"no edgert-devices.toml in this folder or above.*--devices"):
        resolve("kitchen")
    with pytest.raises(InputError, match=r"none.toml cannot be read: No such file"):
        resolve("kitchen", tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "needs one table, [devices]"),
        ("devices = 3", "needs one table, [devices]"),
        ("[devices]\n[other]\n", "needs one table, [devices]"),
        ("[devices\n", "cannot be read"),
        ("[devices]\nx = 3", "device 'x': there is no address"),
        ("[devices.x]\nfor = 'host'", "device 'x': there is no address"),
        ("[devices]\nx = 'nowhere'", "device 'x': 'nowhere' is no address"),
        ("[devices]\n'a b' = 'adb:'", "device 'a b': a name is of letters"),
        ("[devices.x]\naddress = 'adb:'\nbaud = 3", "device 'x': there is no option 'baud'"),
        ("[devices.x]\naddress = 'adb:'\nkey = 3", "device 'x': key is 3; it must be text"),
        ("[devices]\n# \udcff\n", "cannot be read"),
    ],
)
def test_damaged_files(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "edgert-devices.toml"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
