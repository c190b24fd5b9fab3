"""Reports read back by TensorBoard's own reader, and asked back from a running Visdom server."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from report.twin_models import CHANNELS, chain

from edgert.errors import InputError
from edgert.report.quantisation import Report, quantisation_report, write_report
from edgert.report.quantisation.facts import Accuracy
from edgert.report.quantisation.plots import label, plots
from edgert.report.quantisation.visdom import send_visdom


@pytest.fixture(scope="module")
def report() -> Report:
    rng = np.random.default_rng(0)
    samples = [{"input1": rng.normal(size=(1, 4, 4, CHANNELS)).astype(np.float32)} for _ in range(4)]
    return quantisation_report(
        chain(5), chain(5, {1: 0.02, 3: 0.05}), lambda: samples, files=("float", "quantised"), seconds=0.01,
        accuracies=(Accuracy("top1", "%", "quantised", 90.0, 80.0, 95.0, 50),), notes=("one note",),
    )  # fmt: skip


def test_plots_leave_out_what_is_not_known(report: Report) -> None:
    by_name = {plot.name: plot for plot in plots(report)}
    assert set(by_name) == {"sqnr", "size", "time", "arena"}
    running = dict(by_name["sqnr"].series["as the models run"])
    assert set(running) == {1, 2, 3, 4}  # the first layer is exact
    assert set(dict(by_name["sqnr"].series["by itself"])) == {1, 3}
    assert report.costliest is not None
    alone = dict(by_name["sqnr"].series["results with it alone"])
    assert alone[report.costliest["index"]] == report.costliest["sqnr_db"]
    assert report.costliest["total_db"] == pytest.approx(running[4], abs=0.5)


def test_tensorboard_reads_what_is_written(report: Report, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write_report(report, tensorboard=tmp_path / "events")
    events = accumulator.EventAccumulator(str(tmp_path / "events"), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    for plot in plots(report):
        for name, points in plot.series.items():
            read = [(event.step, event.value) for event in events.Scalars(f"{plot.name}/{name.replace(' ', '_')}")]
            assert read == [(step, pytest.approx(value, rel=1e-6)) for step, value in points]
    (accuracy,) = events.Scalars("accuracy/top1/quantised")
    assert accuracy.value == 90.0
    layer = report.layers[3]
    assert layer.distribution is not None
    for model, counts in (("float", layer.distribution.before), ("quantised", layer.distribution.after)):
        (event,) = events.Histograms(f"histograms/{label(layer).replace(' ', '_')}/{model}")
        assert event.histogram_value.num == sum(counts)
        assert sum(event.histogram_value.bucket) == sum(counts)
        assert [n for n in event.histogram_value.bucket if n] == [n for n in counts if n]
    assert len(tags["histograms"]) == 2 * sum(one.distribution is not None for one in report.layers)
    assert "layers/text_summary" in tags["tensors"]
    text = events.Tensors("layers/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "layer3" in text


def test_tensorboard_needs_a_folder(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="needs a folder"):
        write_report(report, tensorboard=tmp_path / "file")


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="module")
def visdom_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Visdom server of our own on a free port of this machine."""
    if importlib.util.find_spec("visdom") is None:
        message = (
            "needs the package visdom (pip install 'setuptools<81' wheel; pip install --no-build-isolation visdom)"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("visdom")
    # The server looks for newer scripts on the web when it starts, which no test may do.
    start = "import visdom.server.run_server as s; s.download_scripts_and_run = s.main; s.main()"
    words = ["-port", str(port), "--hostname", "127.0.0.1", "-env_path", str(folder), "-logging_level", "WARN"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", start, *words], stdout=output, stderr=output, cwd=folder)
    try:
        for _ in range(300):
            if process.poll() is not None:
                break
            if answers(port):
                break
            time.sleep(0.1)
        assert answers(port), f"visdom's server does not answer: {log.read_text()[-2000:]}"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_visdom_shows_what_is_sent(report: Report, visdom_server: str) -> None:
    from visdom import Visdom

    count = send_visdom(report, visdom_server, "test")
    assert count == len(plots(report)) + sum(layer.distribution is not None for layer in report.layers) + 1
    host, _, port = visdom_server.rpartition(":")
    board = Visdom(server=host, port=int(port), env="test", use_incoming_socket=False)
    windows = json.loads(board.get_window_data())
    assert len(windows) == count
    sqnr = {trace["name"]: trace for trace in windows["sqnr"]["content"]["data"]}
    points = dict(plots(report)[0].series["as the models run"])
    shown = zip(sqnr["as the models run"]["x"], sqnr["as the models run"]["y"], strict=True)
    found = {int(x): y for x, y in shown if y is not None}
    assert found == {step: pytest.approx(value) for step, value in points.items()}
    layer = report.layers[3]
    assert layer.distribution is not None
    traces = windows[f"histogram {label(layer)}"]["content"]["data"]
    assert [trace["y"] for trace in traces] == [list(layer.distribution.before), list(layer.distribution.after)]
    assert "one note" in windows["summary"]["content"]
    assert send_visdom(report, visdom_server, "test") == count  # a second report takes the first one's place
    assert len(json.loads(board.get_window_data())) == count


@pytest.mark.parametrize("url", ["ftp://here", "http://", "http://here:port"])
def test_visdom_wants_an_address(report: Report, url: str) -> None:
    pytest.importorskip("visdom")
    with pytest.raises(InputError, match="address"):
        send_visdom(report, url)


def test_visdom_that_is_not_there(report: Report) -> None:
    pytest.importorskip("visdom")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="no Visdom server works at"):
            send_visdom(report, f"http://127.0.0.1:{probe.getsockname()[1]}")
