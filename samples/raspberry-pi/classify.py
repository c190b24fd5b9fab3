"""Classifies what a camera sees, or pictures in files, with the model that was last pushed to this device.

    classify.py device:digits --source camera
    classify.py device:digits --source /var/spool/pictures --follow
    classify.py digits.ert --source picture.png

Prints a line of JSON for every picture. A model that was just pushed is on trial: it is confirmed after --confirm-after
pictures; should this program end badly before, again and again, the device goes back to the model before. When a newer
model was pushed, the program ends, and the service manager starts it with the new one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pictures import Source, inputs_of, open_source

import edgert
from edgert.data.sample import is_image
from edgert.errors import EdgertError, InputError, ModelError
from edgert.runtime.device import DeviceModel
from edgert.runtime.model import Model
from edgert.store.home import find_home
from edgert.store.slot import Slot

PREFIX = "device:"
LOOK_SECONDS = 2.0  # between two looks for a newer model


def main(arguments: list[str] | None = None) -> int:
    """What is wrong with pictures, options or the device is said in a line. What is wrong with the model raises, and so
    ends the process by an exception: on trial, that counts against the model."""
    options = parse(arguments)
    # An end that is asked for is a good end; the default would count as a crash of the model.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        source = open_source(options.source, options.follow)
    except EdgertError as error:
        return complain(error)
    try:
        model = edgert.load(options.model, threads=options.threads)
    except EdgertError as error:
        return complain(error)
    try:
        check_classifier(model)
        return classify(model, source, options)
    finally:
        source.close()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Classify pictures with the model that was pushed to this device.")
    parser.add_argument("model", help="device:NAME, or an .ert file")
    parser.add_argument("--source", default="camera", help="camera, camera:1, or a file or folder (default: camera)")
    parser.add_argument("--follow", action="store_true", help="wait for new files in the folder")
    parser.add_argument("--top", type=int, default=3, help="how many classes a line names (default: 3)")
    parser.add_argument("--threads", type=int, default=min(4, os.cpu_count() or 1), help="default: all of a Pi's cores")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds from one picture to the next, at least")
    parser.add_argument("--confirm-after", type=int, default=10, metavar="N", help="pictures (default: 10)")
    parser.add_argument("--count", type=int, default=0, help="end after so many pictures")
    return parser.parse_args(arguments)


def classify(model: Model, source: Source, options: argparse.Namespace) -> int:
    done, looked = 0, time.monotonic()
    tell_service_manager("READY=1")
    for picture in source.pictures():
        tell_service_manager("WATCHDOG=1")  # what hangs is killed, and counts as a bad end
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            if newer_is_there(options.model, model):
                print("a newer model was pushed; ending, to be started with it", file=sys.stderr, flush=True)
                return 0
        if picture is None:
            continue
        for line in results(model, *picture, options):
            print(json.dumps(line, ensure_ascii=False), flush=True)
            if "error" in line:
                continue
            done += 1
            if done == options.confirm_after:
                confirm(model)
            if done == options.count:
                return 0
        if options.interval > 0:
            time.sleep(options.interval)
    return 0


def results(model: Model, name: str, picture: Any, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A line for every sample in the picture's file: usually one. A picture that cannot be read is told, and passed
    over; a model that cannot run raises."""
    try:
        samples = list(inputs_of(name, picture, model))
    except InputError as error:
        yield {"time": now(), "source": name, "error": str(error)}
        return
    for label, inputs in samples:
        began = time.perf_counter()
        outputs = model.run(inputs)
        milliseconds = (time.perf_counter() - began) * 1000
        yield {
            "time": now(),
            "source": label,
            "model": options.model.removeprefix(PREFIX),
            "generation": model.generation if isinstance(model, DeviceModel) else None,
            "milliseconds": round(milliseconds, 2),
            "classes": best(model, outputs[model.outputs[0].name], options.top),
        }


def best(model: Model, scores: NDArray[Any], top: int) -> list[dict[str, Any]]:
    """The classes with the highest scores, as real numbers."""
    info = model.outputs[0]
    real = info.dequantize(scores) if info.quant is not None else scores
    flat = np.asarray(real, np.float64).reshape(-1)
    if not np.isfinite(flat).all():
        raise EdgertError(f"output {info.name!r} holds NaN or infinity: the model is broken")
    labels = model.labels if len(model.labels) == flat.size else ()
    order = np.argsort(-flat, kind="stable")[:top]
    return [{"class": int(i), "label": labels[i] if labels else None, "score": round(float(flat[i]), 6)} for i in order]


def check_classifier(model: Model) -> None:
    """Raises ModelError for a model that takes no picture or gives no row of scores."""
    takes, shape = [is_image(info) for info in model.inputs], model.outputs[0].shape
    if takes != [True] or len(model.outputs) != 1 or len(shape) not in (1, 2) or shape[-1] < 2:
        found = " to ".join(", ".join(str(info) for info in side) for side in (model.inputs, model.outputs))
        raise ModelError(f"the model is no classifier of pictures: it takes {found}")


def confirm(model: Model) -> None:
    """Says that the model on trial does well. Nothing to do for an .ert file, or a model that is confirmed."""
    if isinstance(model, DeviceModel) and model.pending:
        model.confirm()
        print(f"generation {model.generation} is confirmed", file=sys.stderr, flush=True)


def newer_is_there(name: str, model: Model) -> bool:
    if not isinstance(model, DeviceModel):
        return False
    return Slot(find_home(), name.removeprefix(PREFIX)).state().current != model.generation


def tell_service_manager(state: str) -> None:
    """sd_notify(3), for Type=notify and WatchdogSec=; does nothing where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def complain(error: Exception) -> int:
    print(f"classify: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
