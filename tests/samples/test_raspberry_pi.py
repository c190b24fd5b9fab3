"""samples/raspberry-pi: the classifier with models that an agent received, its pictures, and the units."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_build import skip_or_fail
from device.device_side import write_edgert
from device.line_proxy import Line, Pattern
from device.pushes import Agent, home, key, package, wait_until
from device.sshd import Sshd, require_sshd, write_ssh
from sample_runs import DIGITS, PI, Ended, ended, environment, run, start

import edgert
from edgert import device
from edgert.manifest.keys import PrivateKey
from edgert.store.home import Home
from edgert.store.slot import Slot

BAUD = 3_000_000
CLASSIFY = PI / "classify.py"
UNITS = sorted(PI.glob("*.service"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """digits.ert and pictures/: ten held-back digits, whose names end in their class."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(DIGITS / "calibration.npz") as archive:
        samples = [{"image": image[None]} for image in archive["image"][:30]]
    labels = tuple("0123456789")
    made = edgert.convert(DIGITS / "digits.onnx", quantize="int8", calibrate=samples, labels=labels)
    (folder / "digits.ert").write_bytes(made.data)
    (folder / "pictures").mkdir()
    with np.load(DIGITS / "test.npz") as archive:
        for i in range(10):
            save(folder / "pictures" / f"{i}-{archive['labels'][i]}.npy", archive["x"][i])
    return folder


def save(path: Path, pixels: np.ndarray) -> None:
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        np.save(file, pixels[None].astype(np.float32) / 16)
    beside.replace(path)


class Pi:
    """A device with an agent at a serial line, and whoever pushes to it."""

    def __init__(self, folder: Path, line: Line, key: PrivateKey) -> None:
        self.home = home(folder / "home", key)
        self.address = f"serial:{line.host}?baud={BAUD}"
        self._key, self._folder = key, folder

    def push(self, path: Path) -> device.PushResult:
        return device.push(path, self.address, self._key, device.PushOptions(name="digits"))

    def environment(self, **more: str) -> dict[str, str]:
        return environment(EDGERT_HOME=str(self.home), **more)

    def classify(self, *words: object) -> Ended:
        return run(CLASSIFY, "device:digits", *words, cwd=self._folder, env=self.environment())

    @property
    def state(self) -> Any:
        return Slot(Home(self.home), "digits").state()


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[Pi]:
    with Line(tmp_path / "line", Pattern(BAUD)) as line:
        made = Pi(tmp_path, line, key())
        with Agent(line.device, made.home, BAUD):
            yield made


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def right(found: list[dict[str, Any]]) -> int:
    return sum(line["classes"][0]["label"] == re.split(r"[-.]", line["source"])[1] for line in found)


def test_a_pushed_model_is_used_and_confirmed(pi: Pi, digits: Path) -> None:
    result = pi.push(digits / "digits.ert")
    assert result.state == "pending"
    outcome = pi.classify("--source", digits / "pictures", "--confirm-after", 4, "--count", 4)
    assert outcome.code == 0, outcome.err
    found = lines(outcome.out)
    assert len(found) == 4
    assert all(line["model"] == "digits" and line["generation"] == result.counter for line in found)
    assert all(len(line["classes"]) == 3 for line in found)
    assert f"generation {result.counter} is confirmed" in outcome.err
    (model,) = device.status(pi.address).models
    assert (model.state, model.counter) == ("confirmed", result.counter)


def test_a_model_that_fails_is_taken_back(pi: Pi, digits: Path) -> None:
    """What was pushed passes its golden check and is no classifier, so the program ends by an exception every time."""
    good = pi.push(digits / "digits.ert")
    assert pi.classify("--source", digits / "pictures", "--confirm-after", 1, "--count", 1).code == 0
    bad = pi.push(package(digits / "other.ert", 40_000))
    assert pi.state.current == bad.counter
    for _ in range(3):
        outcome = pi.classify("--source", digits / "pictures", "--count", 1)
        assert outcome.code == 1
        assert "the model is no classifier of pictures: it takes x: int8[1, 256]" in outcome.err
    outcome = pi.classify("--source", digits / "pictures", "--count", 10)
    assert outcome.code == 0, outcome.err
    assert {line["generation"] for line in lines(outcome.out)} == {good.counter}
    assert right(lines(outcome.out)) >= 8
    assert (pi.state.current, pi.state.pending) == (good.counter, False)


def test_what_is_wrong_with_pictures_does_not_count_against_the_model(pi: Pi, digits: Path, tmp_path: Path) -> None:
    pi.push(digits / "digits.ert")
    for source, message in (
        (tmp_path / "nowhere", "there is no such file or folder"),
        ("camera:9", "camera|/dev/video9"),
    ):
        for _ in range(2):
            outcome = pi.classify("--source", source)
            assert outcome.code == 1
            assert re.search(message, outcome.err)
    (model,) = device.status(pi.address).models
    assert (model.state, model.loads) == ("pending", 0)


def test_it_ends_for_a_newer_model(pi: Pi, digits: Path, tmp_path: Path) -> None:
    """The service manager then starts it anew. Until there, it classifies what comes into the folder."""
    pi.push(digits / "digits.ert")
    folder = tmp_path / "spool"
    folder.mkdir()
    process = start(
        CLASSIFY, "device:digits", "--source", folder, "--follow", "--confirm-after", 1, cwd=tmp_path,
        env=pi.environment(),
    )  # fmt: skip
    try:
        with np.load(DIGITS / "test.npz") as archive:
            save(folder / f"late-{archive['labels'][3]}.npy", archive["x"][3])
        (folder / "broken.npy").write_bytes(b"no array")
        wait_until(lambda: not pi.state.pending, 60)
        pi.push(package(digits / "newer.ert", 30_000))
        outcome = ended(process, 60)
    finally:
        process.kill()
    assert outcome.code == 0, outcome.err
    assert "a newer model was pushed" in outcome.err
    found = {line["source"]: line for line in lines(outcome.out)}
    assert "no .npy file" in found["broken.npy"]["error"]
    assert right([line for line in found.values() if "error" not in line]) == 1


def test_a_stop_by_the_service_manager_is_no_crash(pi: Pi, digits: Path, tmp_path: Path) -> None:
    """sd_notify tells that it is ready and alive; SIGTERM ends it as asked."""
    pi.push(digits / "digits.ert")
    (tmp_path / "spool").mkdir()
    shutil.copy(next((digits / "pictures").iterdir()), tmp_path / "spool" / "one.npy")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        process = start(
            CLASSIFY, "device:digits", "--source", tmp_path / "spool", "--follow", cwd=tmp_path,
            env=pi.environment(NOTIFY_SOCKET=str(tmp_path / "notify")),
        )  # fmt: skip
        try:
            assert manager.recv(100) == b"READY=1"
            for _ in range(4):
                assert manager.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            outcome = ended(process, 60)
        finally:
            process.kill()
    assert outcome.code == 0, outcome.err
    assert len(lines(outcome.out)) == 1
    assert pi.state.current is not None


CAMERAS = {
    "picamera2": '''
import numpy as np
class Picamera2:
    def __init__(self, number): self.number = number
    @staticmethod
    def global_camera_info(): return [{"Num": 0}]
    def create_video_configuration(self, main): assert main["format"] == "BGR888"; return main
    def configure(self, main): self.width, self.height = main["size"]
    def start(self): pass
    def stop(self): pass
    def close(self): pass
    def capture_array(self, name): return np.full((self.height, self.width, 3), 200, np.uint8)
''',
    "cv2": '''
import numpy as np
CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT, CAP_PROP_BUFFERSIZE = 3, 4, 38
class VideoCapture:
    def __init__(self, number): self.number, self.left = number, 3
    def set(self, what, value): pass
    def isOpened(self): return self.number == 0
    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((480, 640, 3), 200, np.uint8)
    def release(self): pass
''',
}  # fmt: skip


@pytest.mark.parametrize("module", CAMERAS)
def test_cameras(module: str, digits: Path, tmp_path: Path) -> None:
    """With stand-ins for the libraries that read cameras: there is none at a test's machine."""
    (tmp_path / f"{module}.py").write_text(CAMERAS[module])
    if module == "cv2":
        (tmp_path / "picamera2.py").write_text("raise ImportError('not on this machine')\n")
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path}:{env.get('PYTHONPATH', '')}"
    words = [digits / "digits.ert", "--count", 5]  # more than the stand-in of OpenCV gives before it is unplugged
    outcome = run(CLASSIFY, *words, "--source", "camera", cwd=tmp_path, env=env)
    assert outcome.code == 0, outcome.err
    assert [line["source"] for line in lines(outcome.out)] == ["camera"] * 5
    missing = run(CLASSIFY, *words, "--source", "camera:1", cwd=tmp_path, env=env)
    needed = "there is no camera 1; there are 1" if module == "picamera2" else "/dev/video1 cannot be opened"
    assert missing.code == 1
    assert needed in missing.err


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units(unit: Path, tmp_path: Path) -> None:
    """systemd reads them without a complaint, and what they start exists in edgert and in this folder."""
    if shutil.which("systemd-analyze") is None:
        skip_or_fail("systemd-analyze, which checks units, is not installed (package systemd)")
    text = unit.read_text()
    (started,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert started.startswith(("/opt/edgert/bin/edgert agent --tty /dev/%I", "/opt/edgert/bin/python "))
    if "classify.py" in started:
        assert (PI / "classify.py").is_file()
    # The programs are not installed here, which it would complain of; its instance is the name of a port or model.
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/opt/edgert/bin/edgert", "/bin/true").replace("/opt/edgert/bin/python", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60)
    # It reads the system's units on the way, and what it thinks of those is not ours.
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if unit.stem.removesuffix("@") in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_an_ssh_key_that_may_only_push(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line for authorized_keys in the README, with the agent that is tested."""
    sshd = Sshd(tmp_path, require_sshd())
    try:
        write_ssh(tmp_path / "bin", sshd.host("kitchen"))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        signer = key()
        agent = f"{write_edgert(tmp_path)} agent --stdio --home {home(tmp_path / 'home', signer)}"
        (line,) = re.findall(r"^restrict,.* AAAA\.\.\.", (PI / "README.md").read_text(), re.MULTILINE)
        limited = line.replace("/opt/edgert/bin/edgert agent --stdio", agent).removesuffix("ssh-ed25519 AAAA...")
        public = (tmp_path / "user_key.pub").read_text()
        (tmp_path / "authorized_keys").write_text(limited + public)
        assert device.push(digits / "digits.ert", "ssh://kitchen", signer).state == "pending"
        asked = subprocess.run(
            ["ssh", "kitchen", "id"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert "uid=" not in asked.stdout
    finally:
        sshd.stop()


def test_the_readme_names_what_is_there() -> None:
    text = (PI / "README.md").read_text()
    for path in PI.iterdir():
        if path.is_file() and path.name != "README.md":
            assert path.name in text
    for unit in UNITS:
        for user in re.findall(r"^User=(.*)$", unit.read_text(), re.MULTILINE):
            assert re.search(rf"useradd .* {user}\b", text, re.MULTILINE)
