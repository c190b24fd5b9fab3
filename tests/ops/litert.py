"""One operator in LiteRT, built through the object interface of its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgert.dtypes import QuantParams

Array = NDArray[Any]
_TYPES = {"float32": "FLOAT32", "int8": "INT8", "int32": "INT32", "int64": "INT64"}


def run_litert(
    operator: str,
    options: tuple[str, Mapping[str, Any]],
    inputs: Sequence[Array],
    output: tuple[tuple[int, ...], str],
    quant: QuantParams | None = None,
    constants: Sequence[Array] = (),
    reference: bool = False,
) -> Array:
    """The output of BuiltinOperator `operator`.

    options: the options table and its fields. output: shape and dtype. quant: of every int8 tensor. constants: inputs
    after the others that the model holds. reference: TFLite's reference kernels in place of its fast ones.
    """
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors = []

    def tensor(name: str, shape: Sequence[int], dtype: str, data: Array | None = None) -> int:
        item = schema.TensorT()
        item.name, item.shape, item.type = name.encode(), list(shape), getattr(schema.TensorType, _TYPES[dtype])
        if dtype == "int8" and quant is not None:
            item.quantization = schema.QuantizationParametersT()
            item.quantization.scale, item.quantization.zeroPoint = list(quant.scales), list(quant.zero_points)
        item.buffer = len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(data.tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    graph.inputs = [tensor(f"x{i}", array.shape, array.dtype.name) for i, array in enumerate(inputs)]
    held = [tensor(f"c{i}", array.shape, array.dtype.name, array) for i, array in enumerate(constants)]
    graph.outputs = [tensor("y", *output)]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 2
    model.operatorCodes = [code]
    node = schema.OperatorT()
    node.inputs, node.outputs = [*graph.inputs, *held], graph.outputs
    table, fields = options
    node.builtinOptionsType = getattr(schema.BuiltinOptions, table)
    node.builtinOptions = getattr(schema, f"{table}T")()
    for name, value in fields.items():
        assert hasattr(node.builtinOptions, name), name
        setattr(node.builtinOptions, name, value)
    graph.operators = [node]

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    resolver = interpreter.OpResolverType.BUILTIN_REF if reference else interpreter.OpResolverType.AUTO
    runner = interpreter.Interpreter(
        model_content=bytes(builder.Output()), experimental_op_resolver_type=resolver, num_threads=1
    )
    runner.allocate_tensors()
    for details, array in zip(runner.get_input_details(), inputs, strict=True):
        runner.set_tensor(details["index"], array)
    runner.invoke()
    result: Array = runner.get_tensor(runner.get_output_details()[0]["index"])
    return result
