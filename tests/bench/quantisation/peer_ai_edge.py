"""ai-edge-quantizer's static int8 of a TFLite model, and the authors' own int8 file, both run by LiteRT."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from job import FLOAT, Arrays, Invoke, Work, run

WAYS = {
    "minmax": AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    "octav": AlgorithmName.OCTAV,
    "mse": AlgorithmName.MSE,
    "gptq": AlgorithmName.GPTQ,
}


def ways(work: Work) -> Iterable[tuple[str, Callable[[], Invoke]]]:
    model = _signed(Path(work.job.model).read_bytes())
    ((key, signature),) = Interpreter(model_content=model).get_signature_list().items()
    samples = {key: [dict(zip(signature["inputs"], arrays, strict=True)) for arrays in work.samples()]}

    def quantised(algorithm: AlgorithmName) -> Invoke:
        made = quantizer.Quantizer(bytearray(model))
        made.load_quantization_recipe(recipe.static_wi8_ai8(algorithm_key=algorithm))
        statistics = made.calibrate(samples, num_threads=1)
        return _invoke(model_content=bytes(made.quantize(statistics).quantized_model))

    yield FLOAT, lambda: _invoke(model_content=model)
    if work.job.authors:
        yield "authors", lambda: _invoke(model_path=work.job.authors)
    for name, algorithm in WAYS.items():
        yield name, lambda algorithm=algorithm: quantised(algorithm)


def _signed(data: bytes) -> bytes:
    """The model with what old files lack: operator codes where they stand today, and a signature, which calibration
    asks for."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    if model.signatureDefs:
        return data
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    (graph,) = model.subgraphs
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = (
        [_place(f"{what}_{i}", tensor) for i, tensor in enumerate(tensors)]
        for what, tensors in (("input", graph.inputs), ("output", graph.outputs))
    )
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _place(name: str, tensor: int) -> Any:
    place = schema.TensorMapT()
    place.name, place.tensorIndex = name.encode(), int(tensor)
    return place


def _invoke(**source: Any) -> Invoke:
    """Integers at the interface are converted by their scales."""
    interpreter = Interpreter(num_threads=1, **source)
    interpreter.allocate_tensors()

    def invoke(arrays: Arrays) -> Arrays:
        interpreter.reset_all_variables()
        for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
            interpreter.set_tensor(detail["index"], _integers(array, detail))
        interpreter.invoke()
        return [_real(interpreter.get_tensor(detail["index"]), detail) for detail in interpreter.get_output_details()]

    return invoke


def _integers(array: Any, detail: dict[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    if not scale:
        return array
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(array / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def _real(array: Any, detail: dict[str, Any]) -> Any:
    scale, zero_point = detail["quantization"]
    return (array.astype(np.float32) - zero_point) * np.float32(scale) if scale else array


if __name__ == "__main__":
    run(ways)
