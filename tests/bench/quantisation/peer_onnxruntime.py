"""onnxruntime's static quantisation: QDQ, int8 weights per channel over their whole range, after its pre-processing.

Every calibration method, activations with and without a zero point, and float between the weighted operators.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import onnxruntime
from job import FLOAT, Arrays, Invoke, Work, run
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

WEIGHTED = ["Conv", "Gemm", "MatMul"]
WAYS: dict[str, dict[str, Any]] = {
    "minmax": {},
    "minmax-symmetric": {"extra": {"ActivationSymmetric": True}},
    "minmax-weighted-only": {"op_types_to_quantize": WEIGHTED},
    "entropy": {"calibrate_method": CalibrationMethod.Entropy},
    "entropy-weighted-only": {"calibrate_method": CalibrationMethod.Entropy, "op_types_to_quantize": WEIGHTED},
    "percentile-99.99": {"calibrate_method": CalibrationMethod.Percentile, "extra": {"CalibPercentile": 99.99}},
    "percentile-99.999": {"calibrate_method": CalibrationMethod.Percentile, "extra": {"CalibPercentile": 99.999}},
    "percentile-99.999-weighted-only": {
        "calibrate_method": CalibrationMethod.Percentile,
        "extra": {"CalibPercentile": 99.999},
        "op_types_to_quantize": WEIGHTED,
    },
}
MOST_KEPT = 100  # samples: the histogram methods keep every activation of every sample until the end


class _Reader(CalibrationDataReader):
    def __init__(self, names: list[str], arrays: Iterable[Arrays]) -> None:
        self._samples = (dict(zip(names, sample, strict=True)) for sample in arrays)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._samples, None)


def ways(work: Work) -> Iterable[tuple[str, Callable[[], Invoke]]]:
    model, prepared = Path(work.job.model), work.folder / "prepared.onnx"
    yield FLOAT, lambda: _invoke(model)
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    names = [
        value.name for value in onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()
    ]

    def quantised(options: dict[str, Any]) -> Invoke:
        path = work.folder / "quantised.onnx"
        samples = list(work.samples())
        if "calibrate_method" in options:
            samples = samples[:: -(-len(samples) // MOST_KEPT)]
        extra = options.get("extra", {})
        given = {
            "quant_format": QuantFormat.QDQ,
            "per_channel": True,
            "reduce_range": False,
            "activation_type": QuantType.QInt8 if extra.get("ActivationSymmetric") else QuantType.QUInt8,
            "weight_type": QuantType.QInt8,
            **{key: value for key, value in options.items() if key != "extra"},
        }
        try:
            quantize_static(prepared, path, _Reader(names, samples), extra_options=extra, **given)
        except ValueError:  # of 1.31, where a bias belongs to a matrix product per channel
            extra = {**extra, "QDQDisableWeightAdjustForInt32Bias": True}
            quantize_static(prepared, path, _Reader(names, samples), extra_options=extra, **given)
        return _invoke(path)

    for name, options in WAYS.items():
        yield name, lambda options=options: quantised(options)


def _invoke(path: Path) -> Invoke:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    run(ways)
