"""What networks of the shared data are calibrated and measured on: every split is a fixed rule that can be printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import model_inputs
import numpy as np
import pytest
from model_inputs import Array, Find

CHUNK, CONTEXT = 512, 64  # of the speech detector, at 16 kHz
PITCH_WINDOW = 43844  # of the pitch tracker, at 22050 Hz
MELS, FRAMES, FFT, HOP = 128, 5, 1024, 512  # of the anomaly detector, at 16 kHz


@dataclass(frozen=True)
class Data:
    """Arrays for each input, samples along a new first axis."""

    calibration: list[Array]
    measured: list[Array]
    targets: object  # classes [N], or for each image its boxes [M, 5], or None
    rule: str

    @property
    def split(self) -> str:
        return f"{self.rule}: {len(self.calibration[0])} calibrate, {len(self.measured[0])} measure"


def every(count: int, arrays: Array, targets: Array | None, what: str) -> Data:
    """Of every `count` samples the first calibrates."""
    first = np.arange(len(arrays)) % count == 0
    rule = f"{what}, of every {count} the first"
    return Data([arrays[first]], [arrays[~first]], None if targets is None else targets[~first], rule)


def cifar(find: Find) -> Data:
    """Float pixels 0 to 255, [N, 1, 32, 32, 3]."""
    images, labels = zip(*model_inputs.cifar(find), strict=True)
    return every(5, np.stack(images).astype(np.float32), np.asarray(labels), "ic01, then cifar10_test_png")


def normalised_cifar(find: Find) -> Data:
    """As torchvision normalises, [N, 1, 3, 32, 32]."""
    data = cifar(find)
    mean, std = (np.asarray(item, np.float32) for item in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    calibration, measured = (
        [np.ascontiguousarray(((x[0] / 255 - mean) / std).transpose(0, 1, 4, 2, 3))]
        for x in (data.calibration, data.measured)
    )
    return Data(calibration, measured, data.targets, data.rule)


def person(find: Find) -> Data:
    """Float pixels 0 to 1, [N, 1, 96, 96, 3]."""
    images, labels = zip(*model_inputs.person(find), strict=True)
    measured = np.stack(images).astype(np.float32) / np.float32(255)
    others = np.concatenate([views(path, 96, 96)[:5] for path in photographs(find)])[:, None]
    rule = "5 views each of the other photographs calibrate, vww01 is measured"
    return Data([others.astype(np.float32) / np.float32(255)], [measured], np.asarray(labels), rule)


def digits(find: Find, scale: float, shape: Sequence[int]) -> Data:
    images, labels = model_inputs.digits(find)
    pixels = (images.astype(np.float32) * np.float32(scale)).reshape(len(images), *shape)
    return every(10, pixels, labels.astype(np.int64), "MNIST")


def views(path: Path, height: int, width: int) -> Array:
    """Ten of a photograph, uint8 [10, height, width, 3]: all of it and its corners (0.7 of each side), mirrored too."""
    pil = pytest.importorskip("PIL.Image")
    image = pil.open(path).convert("RGB")
    w, h = image.size
    part_w, part_h = round(w * 0.7), round(h * 0.7)
    boxes = [(0, 0, w, h)]
    boxes += [(x, y, x + part_w, y + part_h) for y in (0, h - part_h) for x in (0, w - part_w)]
    upright = [np.asarray(image.crop(box).resize((width, height), pil.Resampling.BILINEAR)) for box in boxes]
    return np.stack([*upright, *(view[:, ::-1] for view in upright)])


def photographs(find: Find) -> list[Path]:
    return sorted([*find("data/images_ccby").glob("*.jpg"), *find("data/coco_val/images").glob("*.jpg")])


def small_photographs(find: Find, height: int, width: int) -> Array:
    """vww01 enlarged, uint8 [120, height, width, 3]: blurred, but of many scenes."""
    pil = pytest.importorskip("PIL.Image")
    return np.concatenate(
        [
            np.asarray(pil.fromarray(image[0]).resize((width, height), pil.Resampling.BILINEAR))[None]
            for image, _ in model_inputs.person(find)
        ]
    )


def photo_views(find: Find, height: int, width: int, mean: float, std: float, small: bool = True) -> Data:
    """[N, 1, height, width, 3], pixels less `mean`, by `std`. A photograph's views are all on one side."""
    stacks = [views(path, height, width) for path in photographs(find)]
    if small:
        stacks += list(small_photographs(find, height, width)[:, None])
    pixels = np.concatenate(stacks)[:, None]
    first = np.repeat(np.arange(len(stacks)), [len(stack) for stack in stacks]) % 3 == 0
    x = ((pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)).astype(np.float32)
    what = "10 views each of the photographs by name" + (", vww01 enlarged" if small else "")
    return Data([x[first]], [x[~first]], None, f"{what}, of every 3 pictures the first")


def faces(find: Find) -> Data:
    data = photo_views(find, 240, 320, 127, 128, small=False)
    calibration, measured = (
        [np.ascontiguousarray(x[0].transpose(0, 1, 4, 2, 3))] for x in (data.calibration, data.measured)
    )
    return Data(calibration, measured, None, data.rule)


def objects(find: Find) -> Data:
    """BGR, 0 to 1, [N, 1, 3, 352, 352], with boxes (class, centre x, centre y, width, height) as parts of the image."""

    def prepared(pixels: Array) -> Array:
        return np.ascontiguousarray(pixels[:, None, :, :, ::-1].transpose(0, 1, 4, 2, 3)).astype(np.float32) / 255

    photos = [views(path, 352, 352)[:5] for path in sorted(find("data/images_ccby").glob("*.jpg"))]
    calibration = np.concatenate([*photos, small_photographs(find, 352, 352)[::2]])
    paths = sorted(find("data/coco_val/images").glob("*.jpg"))
    measured = np.stack([views(path, 352, 352)[0] for path in paths])
    boxes = [np.loadtxt(find(f"data/coco_val/labels/{path.stem}.txt"), ndmin=2) for path in paths]
    rule = "5 views each of images_ccby and every other of vww01, enlarged, calibrate, coco_val is measured"
    return Data([prepared(calibration)], [prepared(measured)], boxes, rule)


def speech(find: Find) -> Data:
    """Chunks [N, 1, 576], each begun by the end of the one before. The state is the float network's to add."""
    samples, rate = model_inputs.recording(find, "data/audio/silero_test.wav")
    assert rate == 16000
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    chunks = [padded[None, at : at + CONTEXT + CHUNK] for at in range(0, len(samples) - CHUNK + 1, CHUNK)]
    x = np.stack(chunks)
    return Data([x[:500]], [x[500:]], None, "silero_test.wav, the first 500 chunks")


def pitch(find: Find) -> Data:
    """Windows [N, 1, 43844, 1] of singing, two samples made one, and of speech as it is."""
    sung, rate = model_inputs.recording(find, "basic_pitch/vocadito_10.wav")
    assert rate == 44100
    sung = sung[: len(sung) // 2 * 2].reshape(-1, 2).mean(axis=1)
    spoken, _ = model_inputs.recording(find, "data/audio/silero_test.wav")
    windows = [
        part[at : at + PITCH_WINDOW].reshape(1, PITCH_WINDOW, 1)
        for part in (sung, spoken)
        for at in range(0, len(part) - PITCH_WINDOW + 1, PITCH_WINDOW)
    ]
    return every(2, np.stack(windows), None, "windows of vocadito_10.wav and silero_test.wav")


def log_mels(find: Find) -> Data:
    """Five frames of 128 log-mels each, [N, 1, 640], of speech: 20 log10 of the power, as the detector was trained."""
    samples, _ = model_inputs.recording(find, "data/audio/silero_test.wav")
    starts = range(0, len(samples) - FFT + 1, HOP)
    frames = np.stack([samples[at : at + FFT] for at in starts]) * np.hanning(FFT)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = 10 * np.log10(power @ _mel_filters(FFT // 2 + 1, 16000).T + 1e-12)
    windows = np.stack([mels[at : at + FRAMES].reshape(1, -1) for at in range(0, len(mels) - FRAMES + 1, FRAMES)])
    return every(4, windows.astype(np.float32), None, "log-mels of silero_test.wav")


def _mel_filters(bins: int, rate: int) -> Array:
    """Triangles at equal distances in mels (2595 log10(1 + f / 700)), [MELS, bins]."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    frequency = np.linspace(0, rate / 2, bins)
    rising = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(np.minimum(rising, falling), 0)
