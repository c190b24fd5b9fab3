"""What is connected: USB serial ports as Linux shows them, adb's list, and names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from device.device_side import write_program

from edgert.device import listing
from edgert.device.errors import LinkError
from edgert.device.listing import Found, adb_devices, list_devices, serial_ports
from edgert.errors import InputError, MissingExtraError

ports = pytest.importorskip("serial.tools.list_ports", reason="needs pyserial")


def port(device: str, **facts: object) -> SimpleNamespace:
    """As pyserial describes one."""
    unknown = dict.fromkeys(("vid", "pid", "manufacturer", "product", "serial_number"))
    return SimpleNamespace(**{**unknown, "device": device, "description": "n/a", **facts})


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """connected(port, ...): the ports there are. /dev/serial/by-id is tmp_path/by-id."""
    monkeypatch.setattr(listing, "BY_ID", tmp_path / "by-id")

    def connect(*found: SimpleNamespace) -> None:
        monkeypatch.setattr(ports, "comports", lambda: list(found))

    return connect


def test_serial_ports_with_their_usb_ids(connected: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "ttyUSB2").touch()
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-FTDI-if00").symlink_to(tmp_path / "ttyUSB2")
    ftdi = {
        "vid": 0x0403,
        "pid": 0x6001,
        "manufacturer": "FTDI",
        "product": "FT232R\x1b[31m UART",
        "serial_number": "A1",
    }
    connected(port("/dev/ttyUSB10"), port(str(tmp_path / "ttyUSB2"), **ftdi), port("/dev/ttyUSB9"), port("COM3"))
    found = serial_ports()
    assert [one.address for one in found] == [
        "serial:/dev/ttyUSB9", "serial:/dev/ttyUSB10", f"serial:{tmp_path}/ttyUSB2", "serial:COM3",
    ]  # fmt: skip
    assert found[2] == Found(
        "serial",
        f"serial:{tmp_path}/ttyUSB2",
        "FTDI FT232R [31m UART",  # whatever a USB device calls itself, the terminal stays as it is
        usb="0403:6001",
        serial_number="A1",
        stable=str(tmp_path / "by-id" / "usb-FTDI-if00"),
    )


def test_the_machines_own_ports() -> None:
    """Whatever there is, pyserial and we agree on it."""
    assert {one.address for one in serial_ports()} == {f"serial:{info.device}" for info in ports.comports()}


ADB_SAYS = """List of devices attached
* daemon started successfully
emulator-5554          device product:sdk_gphone model:Pixel_8 device:emu transport_id:1
R3CX                   unauthorized usb:1-2 transport_id:2
0123456789             no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]
192.168.1.5:5555       offline

"""


@pytest.fixture
def adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """adb(script) puts that in adb's place."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def replace(script: str) -> None:
        write_program(tmp_path / "bin" / "adb", script)

    return replace


def test_adb_in_every_state(adb: Callable[[str], None]) -> None:
    adb(f"cat <<'END'\n{ADB_SAYS}END")
    assert [(one.address, one.state, one.description) for one in adb_devices()] == [
        ("adb:emulator-5554", "device", "Pixel 8"),
        ("adb:R3CX", "unauthorized", ""),
        ("adb:0123456789", "no permissions", ""),
        ("adb:192.168.1.5:5555", "offline", ""),
    ]


def test_adb_that_hangs_or_fails(adb: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ADB_SECONDS", 0.5)
    adb("exec sleep 60")
    with pytest.raises(LinkError, match="did not answer within"):
        adb_devices()
    adb("exit 1")
    monkeypatch.setattr(listing, "ADB_SECONDS", 60)
    with pytest.raises(LinkError, match="ended with code 1; try `adb devices`"):
        adb_devices()


def test_what_cannot_be_looked_through_is_noted(
    connected: Callable[..., None], adb: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "edgert-devices.toml").write_text('[devices]\nkitchen = "ssh://pi@kitchen.local"\n')
    monkeypatch.chdir(tmp_path)
    adb("exit 3")

    def no_pyserial() -> list[Found]:
        raise MissingExtraError("pyserial", "listing serial ports", "device")

    monkeypatch.setattr(listing, "serial_ports", no_pyserial)
    found = list_devices()
    assert found.found == (Found("name", "ssh://pi@kitchen.local", name="kitchen"),)
    assert [note.split(":")[0] for note in found.notes] == [
        "listing serial ports needs the package 'pyserial'",
        "adb devices are not listed",
    ]
    (tmp_path / "edgert-devices.toml").write_text("[devices\n")
    with pytest.raises(InputError, match=r"edgert-devices.toml cannot be read"):
        list_devices()
