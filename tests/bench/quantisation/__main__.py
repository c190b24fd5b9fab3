"""What int8 costs, here and with the peers, each given the same float network and the same calibration samples.

usage: python tests/bench/quantisation [NETWORK ...] [--data DIR] [--work DIR] [--json FILE]
                                       [--peer NAME | --alone] [--scheme NAME] [--python PEER=INTERPRETER]

Prints a Markdown table. A peer's ways to quantise are all tried; the one with the best SQNR of the results on the
calibration samples, which need no labels, is the one that counts, and the JSON file has all of them. A peer runs in
a process of its own, by the interpreter that --python names for it; with --work its results are kept, and used again
while the network, the samples and the peer's script are the same. edgert runs every time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

import numpy as np  # noqa: E402
import table  # noqa: E402
from job import FLOAT, Arrays, Job, load  # noqa: E402
from model_splits import Data  # noqa: E402
from models import NETWORKS, Network  # noqa: E402
from scores import Score, score, sqnr  # noqa: E402

PEERS = {"ai-edge-quantizer": "ai_edge", "onnxruntime": "onnxruntime", "NNCF": "nncf"}
SAME = 1e-3  # of the largest magnitude: float forms of one network differ by no more


def run(peer: str, python: str, job: Job, folder: Path, calibration: Arrays, measured: Arrays, again: bool) -> None:
    """Runs a peer on a job, unless the folder holds the results of just that already."""
    job.write(folder, calibration, measured)
    script = HERE / f"peer_{peer}.py"
    given = [script, HERE / "job.py", Path(job.model), folder / "job.json"]
    given += [folder / "calibration.npz", folder / "measured.npz"]
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in given)).hexdigest()
    done = folder / "done"
    if not again and done.exists() and done.read_text() == digest:
        return
    done.unlink(missing_ok=True)
    (folder / "results.json").unlink(missing_ok=True)
    with (folder / "log.txt").open("w") as log:
        subprocess.run([python, script, folder], stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS="1"))
    if not (folder / "results.json").exists():
        (folder / "results.json").write_text("{}")
    done.write_text(digest)


def ordered(outputs: Arrays, reference: Arrays) -> list[int]:
    """Which output of a form is which of the reference's: those that are nearest, of the same size."""
    order = []
    for wanted in reference:
        errors = [
            float(np.abs(given.ravel() - wanted.ravel()).max()) if given.size == wanted.size else np.inf
            for given in outputs
        ]
        order.append(int(np.argmin(errors)))
    return order


def results(folder: Path, way: str, part: str, order: list[int]) -> Arrays:
    outputs = load(folder / f"{way}.{part}.npz")
    return [outputs[i] for i in order]


def evaluate(
    network: Network, data: Data, folder: Path, exact: Arrays, exact_judges: Arrays | None
) -> dict[str, dict[str, Any]]:
    """Every way in a folder with results: its score, and its SQNR on calibration and measured samples."""
    found: dict[str, dict[str, Any]] = json.loads((folder / "results.json").read_text())
    if "failed" in found.get(FLOAT, {"failed": ""}):
        return found
    order = ordered(load(folder / f"{FLOAT}.measured.npz"), exact)
    judged = exact_judges or results(folder, FLOAT, "judges", order)
    for way, result in found.items():
        if "failed" in result:
            continue
        outputs = results(folder, way, "measured", order)
        outputs = [o.reshape(e.shape) for o, e in zip(outputs, exact, strict=True)]
        if way == FLOAT:
            worst = max(float(np.abs(o - e).max() / np.abs(e).max()) for o, e in zip(outputs, exact, strict=True))
            result["difference"] = worst
        judges = results(folder, way, "judges", order)
        result["score"] = score(network.metric, outputs, exact, data.targets)
        result["sqnr"] = sqnr(outputs, exact)
        result["calibration_sqnr"] = sqnr(judges, judged)
    return found


def with_state(network: Network, data: Data, folder: Path) -> Data:
    """The float network's state beside each sample; what is measured carries its own."""
    if not network.carried:
        return data
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    ((out, into),) = network.carried
    state = np.zeros(session.get_inputs()[into].shape, np.float32)
    states = []
    for sample in data.calibration[0]:
        states.append(state)
        state = session.run(None, dict(zip(names, [sample, state], strict=True)))[out]
    measured = np.zeros((len(data.measured[0]), *state.shape), np.float32)
    return replace(data, calibration=[data.calibration[0], np.stack(states)], measured=[data.measured[0], measured])


def measure(network: Network, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything about one network."""
    folder.mkdir(parents=True, exist_ok=True)

    def find(name: str) -> Path:
        return Path(options.data / name)

    source, onnx_form = network.edgert_form(find, folder), network.onnx_form(find, folder)
    data = with_state(network, network.data(find), folder)
    report: dict[str, Any] = {"split": data.split, "what": network.what, "audio": network.audio, "ways": {}}
    job = Job(str(source), carried=network.carried, options={**network.options, "schemes": options.scheme})
    ours = folder / "edgert"
    run("edgert", options.python.get("edgert", sys.executable), job, ours, data.calibration, data.measured, True)
    exact = load(ours / f"{FLOAT}.measured.npz")
    report["ways"]["edgert"] = evaluate(network, data, ours, exact, None)
    for peer in options.peer:
        calibration, measured, model, authors = data.calibration, data.measured, onnx_form, ""
        if peer == "ai-edge-quantizer":
            if not network.tflite:
                continue
            model, authors = find(network.tflite), network.authors and str(find(network.authors))
            if network.channels_last:
                calibration, measured = (
                    [np.ascontiguousarray(x[0].transpose(0, 1, 3, 4, 2))] for x in (calibration, measured)
                )
        job = Job(str(model), authors, network.carried)
        place = folder / peer
        run(PEERS[peer], options.python.get(peer, sys.executable), job, place, calibration, measured, options.again)
        report["ways"][peer] = evaluate(network, data, place, exact, None)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", choices=[[], *(n.name for n in NETWORKS)], metavar="NETWORK")
    parser.add_argument("--data", type=Path, default=HERE.parents[3] / "shared" / "data")
    parser.add_argument("--work", type=Path, help="folder to keep results in")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only these (repeatable)")
    parser.add_argument("--alone", action="store_true", help="no peers: edgert's schemes beside one another")
    parser.add_argument("--scheme", action="append", help="of edgert (repeatable; int8 without it)")
    parser.add_argument("--python", action="append", default=[], help="PEER=INTERPRETER (repeatable)")
    parser.add_argument("--again", action="store_true", help="run peers again whose results are kept")
    options = parser.parse_args()
    options.python = dict(item.split("=", 1) for item in options.python)
    options.peer = [] if options.alone else options.peer or list(PEERS)
    options.scheme = options.scheme or ["int8"]
    work = options.work or Path(tempfile.mkdtemp())
    reports: dict[str, Any] = {}
    for network in NETWORKS:
        if not options.networks or network.name in options.networks:
            reports[network.name] = measure(network, options, work / network.name)
            print(f"{network.name}: {reports[network.name]['split']}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(reports, indent=1, default=_plain))
    print(table.markdown(reports, options.peer, options.scheme))


def _plain(item: Any) -> Any:
    assert isinstance(item, Score)
    return {key: value for key, value in asdict(item).items() if key != "hits"}


if __name__ == "__main__":
    main()
