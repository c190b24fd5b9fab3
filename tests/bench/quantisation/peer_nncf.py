"""NNCF's post-training quantisation of OpenVINO models, which it reads from ONNX, run by OpenVINO on the CPU.

Weights over their whole range: the processors that the benchmark is for do not overflow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import nncf
import openvino
from job import FLOAT, Arrays, Invoke, Work, run
from nncf.quantization.advanced_parameters import (
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
    OverflowFix,
)
from nncf.quantization.range_estimator import RangeEstimatorParametersSet as Ranges

MIXED, SYMMETRIC = nncf.QuantizationPreset.MIXED, nncf.QuantizationPreset.PERFORMANCE
SMOOTH = AdvancedSmoothQuantParameters(convolution=0.5, matmul=0.5)
WAYS: dict[str, dict[str, Any]] = {
    "mixed": {"preset": MIXED},
    "mixed-accurate-bias": {"preset": MIXED, "fast_bias_correction": False},
    "symmetric-accurate-bias": {"preset": SYMMETRIC, "fast_bias_correction": False},
    "mixed-minmax": {"preset": MIXED, "ranges": Ranges.MINMAX, "fast_bias_correction": False},
    "mixed-quantile": {"preset": MIXED, "ranges": Ranges.MEAN_QUANTILE, "fast_bias_correction": False},
    "mixed-histogram": {"preset": MIXED, "ranges": Ranges.HISTOGRAM, "fast_bias_correction": False},
    "mixed-smooth": {"preset": MIXED, "smooth": SMOOTH, "fast_bias_correction": False},
    "mixed-transformer": {"preset": MIXED, "model_type": nncf.ModelType.TRANSFORMER},
}
CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def ways(work: Work) -> Iterable[tuple[str, Callable[[], Invoke]]]:
    core = openvino.Core()

    def read() -> openvino.Model:
        return core.read_model(work.job.model)

    def quantised(options: dict[str, Any]) -> Invoke:
        advanced: dict[str, Any] = {"overflow_fix": OverflowFix.DISABLE}
        if "ranges" in options:
            advanced["activations_range_estimator_params"] = options["ranges"]
        if "smooth" in options:
            advanced["smooth_quant_alphas"] = options["smooth"]
        given = {key: value for key, value in options.items() if key not in ("ranges", "smooth")}
        samples = nncf.Dataset(list(work.samples()), list)
        parameters = AdvancedQuantizationParameters(**advanced)
        return _invoke(
            core, nncf.quantize(read(), samples, subset_size=work.count, advanced_parameters=parameters, **given)
        )

    yield FLOAT, lambda: _invoke(core, read())
    for name, options in WAYS.items():
        yield name, lambda options=options: quantised(options)


def _invoke(core: openvino.Core, model: openvino.Model) -> Invoke:
    compiled = core.compile_model(model, "CPU", CONFIG)

    def invoke(arrays: Arrays) -> Arrays:
        results = compiled(arrays)
        return [results[output].copy() for output in compiled.outputs]

    return invoke


if __name__ == "__main__":
    logging.disable(logging.INFO)
    run(ways)
