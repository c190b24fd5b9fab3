"""Runs ONNX models in onnxruntime."""

from __future__ import annotations

import onnxruntime


def run_onnxruntime(model, samples):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, samples)
