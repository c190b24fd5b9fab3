"""Operators from outside: converted, run in Python and in C, refused in clear words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgert
from edgert.compile import convert
from edgert.custom import custom_ops
from edgert.errors import InputError, InvokeError, ModelError, UnsupportedError

ROOT = Path(__file__).resolve().parents[2]
NAME = "com.example.Magic"
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "edgert.h"

static ert_status prepare(void *user, const ert_custom_call *call, ert_error *error) {
  (void)user;
  if (call->input_count == 2 && call->inputs[0].dtype == ERT_FLOAT32 && strstr(call->options, "alpha")) return ERT_OK;
  snprintf(error->message, sizeof error->message, "%u inputs and the options %s", call->input_count, call->options);
  return ERT_INVALID_MODEL;
}

static ert_status invoke(void *user, const ert_custom_call *call, ert_error *error) {
  (void)user;
  const float alpha = strtof(strstr(call->options, ":") + 1, NULL);
  const float *x = call->inputs[0].data, *y = call->inputs[1].data;
  float *out = call->outputs[0].data, *sum = call->outputs[1].data;
  sum[0] = 0;
  for (size_t i = 0; i < call->inputs[0].bytes / sizeof *x; i++) sum[0] += out[i] = alpha * x[i] + y[i];
  if (sum[0] == sum[0]) return ERT_OK;
  snprintf(error->message, sizeof error->message, "the sum is not a number");
  return ERT_RUNTIME_ERROR;
}

static const ert_custom_op ops[] = {{"com.example.Magic", prepare, invoke, NULL}};
const ert_custom_op *edgert_custom_ops(uint32_t *count) {
  *count = 1;
  return ops;
}
"""


def infer(inputs: list[edgert.TensorType], attrs: dict[str, object]) -> list[edgert.TensorType]:
    if "alpha" not in attrs:
        raise ModelError("it has no alpha")
    return [inputs[0], edgert.TensorType((1,), inputs[0].dtype)]


def reference(arrays: list[np.ndarray], attrs: dict[str, float]) -> list[np.ndarray]:
    y = np.float32(attrs["alpha"]) * arrays[0] + arrays[1]
    if np.isnan(y).any():
        raise ValueError("the sum is not a number")
    return [y, y.sum().reshape(1)]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    for op in custom_ops():
        edgert.remove_custom_op(op.name)


def magic(path: Path, **attrs: object) -> Path:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "before"),
        helper.make_node("Magic", ["r", "y"], ["m", "s"], "magic", domain="com.example", **attrs),
        helper.make_node("Neg", ["m"], ["z"], "after"),
    ]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y")]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("z", "s")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", infos, outputs), opset_imports=opsets), path)
    return path


X = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
Y = np.array([[1, 1, 1], [2, 2, 2]], np.float32)


def check(model: edgert.Model) -> None:
    wanted = 0.5 * np.maximum(X, 0) + Y
    for _ in range(2):
        made = model.run({"x": X, "y": Y})
        np.testing.assert_array_equal(made["z"], -wanted)
        np.testing.assert_allclose(made["s"], [wanted.sum()])
    with pytest.raises(InvokeError, match=r"'magic' \(custom\): .*the sum is not a number"):
        model.run({"x": X, "y": Y * np.nan})
    np.testing.assert_array_equal(model.run({"x": X, "y": Y})["z"], -wanted)


def test_in_python(tmp_path: Path) -> None:
    path = magic(tmp_path / "m.onnx", alpha=0.5)
    with pytest.raises(UnsupportedError, match=r"com\.example\.Magic 'magic'"):
        convert(path)
    edgert.add_custom_op(edgert.CustomOp(NAME, infer, reference))
    package = convert(path).data
    check(edgert.Model(package))
    interpreter = edgert.Interpreter(model_content=package)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), (X, Y), strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[1, 2] == -2
    edgert.remove_custom_op(NAME)
    with pytest.raises(ModelError, match=rf"needs the custom operator '{NAME}', which was not given"):
        edgert.Model(package)


def test_in_c(tmp_path: Path) -> None:
    source, library = tmp_path / "magic.c", tmp_path / "magic.so"
    source.write_text(LIBRARY)
    include = ROOT / "ext" / "include"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{include}", source, "-o", library], check=True)
    package = None
    for op in (edgert.CustomOp(NAME, infer, reference, library=library),):
        edgert.add_custom_op(op)
        package = convert(magic(tmp_path / "m.onnx", alpha=0.5)).data
        check(edgert.Model(package))
    edgert.remove_custom_op(NAME)
    edgert.add_custom_op(edgert.CustomOp("com.example.Other", infer, reference, library=library))
    with pytest.raises(InputError, match=r"has no operator 'com\.example\.Other'; it has com\.example\.Magic"):
        edgert.Model(package)
    edgert.remove_custom_op("com.example.Other")
    edgert.add_custom_op(edgert.CustomOp(NAME, infer, reference, library=tmp_path / "none.so"))
    with pytest.raises(InputError, match="is no library of custom operators"):
        edgert.Model(package)


def test_quantised_around_it(tmp_path: Path) -> None:
    """It stays float between dequantize and quantize."""
    edgert.add_custom_op(edgert.CustomOp(NAME, infer, reference))
    rng = np.random.default_rng(0)
    samples = [{"x": rng.normal(size=(2, 3)).astype("f4"), "y": rng.normal(size=(2, 3)).astype("f4")} for _ in range(8)]
    model = edgert.Model(convert(magic(tmp_path / "m.onnx", alpha=0.5), quantize="int8", calibrate=samples).data)
    made = model.run(samples[0])["z"]
    np.testing.assert_allclose(made, -(0.5 * np.maximum(samples[0]["x"], 0) + samples[0]["y"]), atol=0.1)


def test_wrong_use(tmp_path: Path) -> None:
    op = edgert.CustomOp(NAME, infer, reference)
    edgert.add_custom_op(op)
    edgert.add_custom_op(op)  # the same again is fine
    with pytest.raises(InputError, match="already"):
        edgert.add_custom_op(edgert.CustomOp(NAME, infer, lambda arrays, attrs: arrays))
    with pytest.raises(ModelError, match="'magic': it has no alpha"):
        convert(magic(tmp_path / "m.onnx"))
    edgert.remove_custom_op(NAME)
    with pytest.raises(InputError, match="no custom operator"):
        edgert.remove_custom_op(NAME)
    edgert.add_custom_op(edgert.CustomOp(NAME, infer, lambda arrays, attrs: [arrays[0][:1], arrays[0][0, :1]]))
    with pytest.raises(InvokeError, match=r"made float32\[1, 3\], needed float32\[2, 3\]"):
        edgert.Model(convert(magic(tmp_path / "n.onnx", alpha=1.0)).data).run({"x": X, "y": Y})
