"""Every operator of the ONNX importer, over operator sets, against onnxruntime."""

from __future__ import annotations

import onnx
import onnx.version_converter
import pytest
from passes.pipeline import optimize
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close, run_converted

from edgert.importers.onnx import HANDLERS, importer, load
from edgert.importers.onnx.functions import BY_FUNCTION
from importers._onnx_cases import CASES
from importers._onnx_run import run_onnxruntime
from importers.conformance import runner


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_operator_equals_onnxruntime(case, tmp_path):
    model = case.model()
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    samples = case.samples()
    theirs = run_onnxruntime(model, samples)
    graph = load(path)
    graph.verify()
    assert [value.name for value in graph.inputs] == list(samples)
    assert [value.name for value in graph.outputs] == [output.name for output in model.graph.output]
    arrays = list(samples.values())
    assert_all_close(ReferenceExecutor(graph).run(*arrays), theirs)
    optimize(graph)
    assert_all_close(ReferenceExecutor(graph).run(*arrays), theirs)
    assert_all_close(run_converted(path, samples), theirs)


VERSIONS = (9, 11, 13, 15, 18, 21, 23, 26)


@pytest.mark.parametrize("version", VERSIONS)
def test_other_operator_sets(tmp_path, version):
    """The models as onnx's own converter writes them in a later set, where attributes became inputs and the like.

    It makes Upsample a Resize of other coordinates, which is another function.
    """
    checked = 0
    for case in CASES[VERSIONS.index(version) % 4 :: 4]:
        if case.opset >= version or case.domain or case.op in ("Upsample", "SimplifiedLayerNormalization"):
            continue
        model, samples = case.model(), case.samples()
        theirs = run_onnxruntime(model, samples)
        try:
            later = onnx.version_converter.convert_version(model, version)
            onnx.checker.check_model(later)
        except (RuntimeError, onnx.checker.ValidationError):  # it cannot convert every operator
            continue
        onnx.save(later, tmp_path / "m.onnx")
        assert_all_close(run_converted(tmp_path / "m.onnx", samples), theirs)
        checked += 1
    assert checked >= 5


def test_every_handler_of_the_default_domain_has_a_case():
    """Here or among ONNX's own (tests/importers/conformance), from which it is not left out."""
    covered = {case.op for case in CASES}
    covered |= {case.operator for case in runner.cases() if case.name not in runner.left_out()}
    missing = {name for name in importer.HANDLERS if "." not in name} - covered
    assert not missing, f"no case for {sorted(missing)}"


def test_operators_by_function_are_those_that_pass():
    """Operators without a handler whose bodies in ONNX are enough: each has cases, none of them left out but for types
    that a package does not have and random numbers."""
    from onnx import defs

    newest = {schema.name: schema for schema in defs.get_all_schemas() if schema.domain == ""}
    bodies = {name for name, schema in newest.items() if schema.has_function or schema.has_context_dependent_function}
    passing = {case.operator for case in runner.cases() if case.name not in runner.left_out()}
    assert set(BY_FUNCTION) == (bodies - importer.HANDLERS.keys() - {"Range", "Bernoulli", "SequenceMap"}) & passing
    assert HANDLERS.keys() >= {"If", "Loop", "Scan", "Shape", "Conv", *BY_FUNCTION}
