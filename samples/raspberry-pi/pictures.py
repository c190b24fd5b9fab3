"""Pictures from a camera, a file or a folder, for classify.py.

A source is told apart from the model on purpose: it is opened first, and gives pictures as they come, so that a camera
that is not plugged in never counts as a failed load of a model on trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgert.data.files import READERS, reader_of
from edgert.data.sample import from_pixels, image_size
from edgert.errors import EdgertError, MissingExtraError
from edgert.runtime.model import Model

Inputs = dict[str, Any]
Pixels = NDArray[np.uint8]  # [height, width, 3], red first
CAMERA = "camera"
CAMERA_SIZE = (640, 480)  # width, height: every sensor has it, and models look at less
LOOK_SECONDS = 0.5  # between two looks into a folder, or for a camera that is gone
SETTLED_SECONDS = 0.5  # a file that was written later may still grow


class SourceError(EdgertError):
    """There is no such source of pictures."""


class Source(Protocol):
    """pictures() gives (name, picture) as they come, and None when it waited for a while and none came."""

    def pictures(self) -> Iterator[tuple[str, Path | Pixels] | None]: ...

    def close(self) -> None: ...


def open_source(text: str, follow: bool) -> Source:
    """text: "camera", "camera:1", or a file or folder of pictures (or of arrays, .npy or .npz).

    follow: whether to wait for new files in the folder when all are done. Raises SourceError when there is no such
    thing, InputError for a file of an unknown kind.
    """
    kind, _, number = text.partition(":")
    if kind == CAMERA:
        if number and not number.isdigit():
            raise SourceError(f"{text!r} is no camera; write camera, or camera:1 for the second one")
        return _camera(int(number or 0))
    path = Path(text)
    if path.is_file():
        reader_of(path)
    elif not path.is_dir():
        raise SourceError(f"{text}: there is no such file or folder; name one, or camera")
    return _Files(path, follow)


def inputs_of(name: str, picture: Path | Pixels, model: Model) -> Iterator[tuple[str, Inputs]]:
    """What the model takes, made of a picture. A file of arrays may hold several.

    Raises InputError for a file that cannot be read or does not fit.
    """
    if isinstance(picture, Path):
        for sample in reader_of(picture)(picture, model.inputs, model.normalisation):
            yield sample.name, sample.inputs
        return
    info = model.inputs[0]
    height, width, channels, _last = image_size(info)
    yield name, {info.name: from_pixels(_scaled(picture, height, width, channels), info, model.normalisation)}


def _scaled(rgb: Pixels, height: int, width: int, channels: int) -> Pixels:
    """The middle of the picture, in the model's proportions, scaled to its size and converted to its channels."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "scaling a camera's pictures") from error
    rows, columns = rgb.shape[:2]
    scale = min(rows / height, columns / width)
    used_rows, used_columns = round(height * scale), round(width * scale)
    top, left = (rows - used_rows) // 2, (columns - used_columns) // 2
    image = Image.fromarray(np.ascontiguousarray(rgb[top : top + used_rows, left : left + used_columns]))
    image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(scaled, np.uint8).reshape(height, width, channels)


class _Files:
    """A file, or the files of a folder by name; those that come later when it follows."""

    def __init__(self, path: Path, follow: bool) -> None:
        self._path, self._follow = path, follow and path.is_dir()

    def pictures(self) -> Iterator[tuple[str, Path] | None]:
        if self._path.is_file():
            yield self._path.name, self._path
            return
        done: set[str] = set()
        while True:
            there = {path.name: path for path in self._listed() if path.suffix.lower() in READERS}
            done &= set(there)  # a file that is gone may come back under its name
            for name in sorted(set(there) - done):
                if self._follow and not _settled(there[name]):
                    continue
                done.add(name)
                yield name, there[name]
            if not self._follow:
                return
            yield None
            time.sleep(LOOK_SECONDS)

    def _listed(self) -> list[Path]:
        try:
            return list(self._path.iterdir())
        except OSError:
            return []  # unmounted, for a while

    def close(self) -> None:
        pass


def _settled(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= SETTLED_SECONDS
    except OSError:
        return False  # gone again


def _camera(number: int) -> Source:
    """Raspberry Pi's own cameras are reached through picamera2, USB cameras through OpenCV (V4L2)."""
    try:
        return _PiCamera(number)
    except ImportError:
        pass
    try:
        return _UsbCamera(number)
    except ImportError:
        raise SourceError(
            "neither picamera2 nor OpenCV is installed, one of which reads cameras: "
            "sudo apt install python3-picamera2, or python3-opencv for a USB camera"
        ) from None


class _PiCamera:
    """libcamera's. Its "BGR888" is red, green, blue in memory (The Picamera2 Library, appendix A)."""

    def __init__(self, number: int) -> None:
        from picamera2 import Picamera2

        found = Picamera2.global_camera_info()
        if number >= len(found):
            raise SourceError(f"there is no camera {number}; there are {len(found)} (rpicam-hello --list-cameras)")
        self._camera = Picamera2(number)
        self._camera.configure(self._camera.create_video_configuration(main={"size": CAMERA_SIZE, "format": "BGR888"}))
        self._camera.start()

    def pictures(self) -> Iterator[tuple[str, Pixels]]:
        while True:
            yield CAMERA, self._camera.capture_array("main")

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()


class _UsbCamera:
    """Whatever V4L2 shows as /dev/video<number>. One that is unplugged is waited for: that is no fault of the model."""

    def __init__(self, number: int) -> None:
        self._number = number
        if not self._open():
            raise SourceError(
                f"/dev/video{number} cannot be opened; is a camera there, and this user in the group video?"
            )

    def _open(self) -> bool:
        import cv2

        self._camera = cv2.VideoCapture(self._number)
        self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, CAMERA_SIZE[0])
        self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, CAMERA_SIZE[1])
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not one of a queue
        return bool(self._camera.isOpened())

    def pictures(self) -> Iterator[tuple[str, Pixels] | None]:
        while True:
            there, bgr = self._camera.read()
            if there:
                yield CAMERA, bgr[..., ::-1]
                continue
            self._camera.release()
            yield None
            time.sleep(LOOK_SECONDS)
            self._open()

    def close(self) -> None:
        self._camera.release()
