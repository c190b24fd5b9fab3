"""The networks: where each form of one lies, what it is measured on, and by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import model_splits
import onnx
from model_inputs import Find
from model_splits import Data
from onnx_form import modern, onnx_model

import edgert


@dataclass(frozen=True)
class Network:
    name: str
    source: str  # of the float network, for edgert, in the shared data
    data: Callable[[Find], Data]
    metric: str  # of edgert.metrics
    what: str  # to call that
    tflite: str = ""  # its float TFLite form, which ai-edge-quantizer takes
    authors: str = ""  # its int8 TFLite form by its authors
    channels_last: bool = False  # the TFLite form takes NHWC where the source takes NCHW
    audio: bool = False
    options: dict[str, Any] = field(default_factory=dict)  # of edgert.convert
    carried: tuple[tuple[int, int], ...] = ()  # (output, input)

    def edgert_form(self, find: Find, folder: Path) -> Path:
        if self.source.endswith(".th"):
            return _exported(find(self.source), folder / "model.pt2")
        return find(self.source)

    def onnx_form(self, find: Find, folder: Path) -> Path:
        path, made = self.edgert_form(find, folder), folder / "model.onnx"
        if path.suffix == ".onnx":
            modern(path, self.options.get("input_shapes", {}), self.options.get("constants", {}), made)
        else:
            onnx.save(onnx_model(edgert.convert(path).graph), made)
        onnx.checker.check_model(made)
        return made


def _exported(weights: Path, path: Path) -> Path:
    """The checkpoint's network as an exported program of PyTorch."""
    import torch
    from importers.torch_nets import pretrained

    module = pretrained.CifarResNet20()
    state = pretrained.weights(weights)["state_dict"]
    module.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    torch.export.save(torch.export.export(module.eval(), (torch.zeros(1, 3, 32, 32),)), path)
    return path


def _tflite(name: str, data: Callable[[Find], Data], metric: str, what: str, authors: str = "", **more: Any) -> Network:
    path = f"tflite/{name}.tflite"
    return Network(name, path, data, metric, what, path, authors and f"tflite/{authors}.tflite", **more)


NETWORKS = (
    _tflite("ic_resnet8_float", model_splits.cifar, "top1", "top-1", "ic_resnet8_int8"),
    _tflite("vww_mnv1_float", model_splits.person, "top1", "top-1", "vww_mnv1_int8"),
    Network("cifar_resnet20", "torch/cifar_resnet20.th", model_splits.normalised_cifar, "top1", "top-1"),
    Network(
        "cntk_mnist", "onnx/cntk_mnist.onnx", lambda find: model_splits.digits(find, 1, (1, 1, 28, 28)),
        "top1", "top-1",
    ),
    Network(
        "lenet", "caffe/lenet.caffemodel", lambda find: model_splits.digits(find, 1 / 256, (1, 1, 28, 28)),
        "top1", "top-1",
    ),
    _tflite(
        "mnist_lstm_float", lambda find: model_splits.digits(find, 1 / 255, (1, 28, 28)),
        "top1", "top-1", "mnist_lstm_int8",
    ),
    _tflite(
        "mobilenet_v1_0.25_224_float",
        lambda find: model_splits.photo_views(find, 224, 224, 127.5, 127.5),
        "agreement",
        "agreement",
    ),
    Network("fastestdet", "onnx/fastestdet.onnx", model_splits.objects, "map50:detection:boxes", "mAP at IoU 0.5"),
    Network(
        "rfb320", "ultraface_rfb320/rfb320_raw.onnx", model_splits.faces, "sqnr", "SQNR",
        "ultraface_rfb320/rfb320_raw.tflite", channels_last=True,
    ),
    Network(
        "basic_pitch", "basic_pitch/nmp.onnx", model_splits.pitch, "sqnr", "SQNR",
        "basic_pitch/nmp.tflite", audio=True,
        options={"input_shapes": {"serving_default_input_2:0": (1, model_splits.PITCH_WINDOW, 1)}},
    ),
    Network(
        "silero_vad", "onnx/silero_vad_16k_op15.onnx", model_splits.speech, "decisions:0.5", "decisions", audio=True,
        options={
            "input_shapes": {"input": (1, model_splits.CONTEXT + model_splits.CHUNK), "state": (2, 1, 128)},
            "constants": {"sr": 16000},
        },
        carried=((1, 1),),
    ),
    _tflite("ad_ae_float", model_splits.log_mels, "sqnr", "SQNR", "ad_ae_int8", audio=True),
)  # fmt: skip
