"""The check in a process of its own: whatever a package does, the one who asked gets an answer in time."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from golden import models

from edgert import golden
from edgert.golden import CheckError, apart, check_apart


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.ert"
    path.write_bytes(data)
    return path


def test_passes(tmp_path: Path) -> None:
    path = written(tmp_path, models.mixture())
    found = check_apart(path, golden.make(path, 2))
    assert found.session_bytes > 0
    assert check_apart(path).session_bytes == found.session_bytes


def test_only_bytes_that_differ(tmp_path: Path) -> None:
    path = written(tmp_path, models.dense())
    (run,) = golden.make(path, 1)
    with pytest.raises(CheckError, match="golden run 1 of 1: output 'y' is not what it was"):
        check_apart(path, [{**run, "outputs": [{"sha256": bytes(32)}]}])


@pytest.mark.parametrize("data", [b"", b"nothing", bytes(1000), models.dense()[:-9], b"ERT1" * 100], ids=len)
def test_no_package(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CheckError) as caught:
        check_apart(written(tmp_path, data))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="No such file"):
        check_apart(tmp_path / "nowhere.ert")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckError):
        check_apart(tmp_path / "folder")


def test_a_model_that_takes_too_long(tmp_path: Path) -> None:
    path = written(tmp_path, models.slow())
    run = {"seed": 1, "steps": 16, "span": 1, "outputs": [{"skip": ""}]}
    start = time.monotonic()
    with pytest.raises(CheckError, match="did not finish its check within 2 s"):
        check_apart(path, [run] * 64, timeout_seconds=2)
    assert time.monotonic() - start < 30
    assert _children() == []


def test_a_model_that_eats_memory(tmp_path: Path) -> None:
    path = written(tmp_path, models.greedy(900))
    run = {"seed": 1, "steps": 1, "span": 1, "outputs": [{"skip": ""}]}
    with pytest.raises(CheckError, match="needs more memory than it may take on this device, 64 MiB"):
        check_apart(path, [run], memory_bytes=64 << 20)


def test_no_more_than_applications_may(tmp_path: Path) -> None:
    """A model that passes its check has to open in an application, too, however much memory there is."""
    with pytest.raises(CheckError, match="needs more memory"):
        check_apart(written(tmp_path, models.greedy(1500)), memory_bytes=16 << 30)


def test_memory_beside_the_session(tmp_path: Path) -> None:
    """Outputs are copied, and inputs made: the process has its bound, too."""
    path = written(tmp_path, models.greedy(40))
    run = {"seed": 1, "steps": 1, "span": 1, "outputs": [{"skip": ""}]}
    check_apart(path, [run], memory_bytes=256 << 20)
    with pytest.raises(CheckError, match="needs more memory than it may take on this device, 60 MiB"):
        check_apart(path, [run], memory_bytes=60 << 20)


CRASH = """
    import os
    import edgert
    def infer(inputs, attrs): return inputs
    def reference(arrays, attrs):
        {body}
        return arrays
    edgert.add_custom_op(edgert.CustomOp("tests.bad", infer, reference))
"""


def with_custom(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A package whose one operator, which the device's owner brings, does `body`."""
    from edgert.dtypes import DType
    from edgert.ir import Graph, Node, Value
    from edgert.pack.writer import write

    name = f"bad_operator_{abs(hash(body)) % 10**6}"
    (folder / f"{name}.py").write_text(textwrap.dedent(CRASH).format(body=body))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("ERT_CUSTOM", name)
    x, y = (Value(name, (4,), DType.FLOAT32) for name in "xy")
    node = Node("custom", [x], [y], {"name": "tests.bad", "options": "{}"}, "bad")
    try:
        return written(folder, write(Graph("custom", [x], [y], [node])))
    finally:
        from edgert.custom import remove_custom_op

        remove_custom_op("tests.bad")


RUN = {"seed": 1, "steps": 1, "span": 1, "outputs": [{"skip": ""}]}


def test_a_model_that_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_custom(tmp_path, monkeypatch, "os.kill(os.getpid(), 11)")
    with pytest.raises(CheckError, match="crashed in its check on this device \\(SIGSEGV\\)"):
        check_apart(path, [RUN])


def test_a_model_that_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_custom(tmp_path, monkeypatch, "os._exit(0)")
    with pytest.raises(CheckError, match="could not be made"):
        check_apart(path, [RUN])


def test_a_model_that_talks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it prints goes nowhere, and what it writes to every open file is bounded."""
    body = "import sys; [os.write(fd, b'x' * 4096) for fd in (1, 2, int(sys.argv[1])) for _ in range(500)]"
    path = with_custom(tmp_path, monkeypatch, body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckError):
        check_apart(path, [RUN], timeout_seconds=20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10  # KiB


def test_ends_when_nobody_waits(tmp_path: Path) -> None:
    """The agent may be killed in the middle of a check; what it started must not go on for ever."""
    path = written(tmp_path, models.slow())
    code = f"""
        import sys
        from edgert.golden import check_apart
        run = {{"seed": 1, "steps": 16, "span": 1, "outputs": [{{"skip": ""}}]}}
        print("ready", flush=True)
        check_apart({str(path)!r}, [run] * 64, timeout_seconds=1)
    """
    parent = subprocess.Popen([sys.executable, "-P", "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent, parent.stdout:
        assert parent.stdout.readline() == b"ready\n"
        child = _wait_for(lambda: next(iter(_children(parent.pid)), None))
        parent.send_signal(signal.SIGKILL)
    assert child is not None
    assert _wait_for(lambda: not _alive(child)), "the check outlived its time"


def test_nothing_of_the_folder_it_starts_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent may be started in a folder that others can write to."""
    (tmp_path / "resource.py").write_text("raise SystemExit('taken in')")
    (tmp_path / "edgert.py").write_text("raise SystemExit('taken in')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    check_apart(written(tmp_path, models.dense()))


def test_within_limits_of_others(tmp_path: Path) -> None:
    """A unit of systemd may allow less than the check would; the check then takes no more."""
    path = written(tmp_path, models.dense())
    code = f"""
        import resource, sys
        from edgert.golden import check_apart
        resource.setrlimit(resource.RLIMIT_CPU, (50, 50))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        check_apart({str(path)!r}, memory_bytes=16 << 30)
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code)], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_many_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, models.dense())
    runs = golden.make(path, 1)
    failures: list[Exception] = []

    def one() -> None:
        try:
            check_apart(path, runs)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_needs_no_numpy(tmp_path: Path) -> None:
    """On a small board its import alone takes seconds."""
    path = written(tmp_path, models.mixture())
    code = f"""
        import sys
        from edgert.golden import check, make
        path = {str(path)!r}
        check(path, make(path, 1))
        sys.exit("numpy" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(code)], timeout=60).returncode == 0


def test_leaves_no_files_open(tmp_path: Path) -> None:
    path = written(tmp_path, models.dense())
    check_apart(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        check_apart(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_reply_is_bounded() -> None:
    assert apart._MAX_REPLY <= 1 << 16


def _children(pid: int | None = None) -> list[int]:
    mine = pid or os.getpid()
    found: list[int] = []
    for task in Path(f"/proc/{mine}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return [child for child in found if _alive(child)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(condition, seconds: float = 30.0):  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    return None
