"""edgert.Interpreter has the methods of tflite_runtime's."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runtime.models import int8_copy, pooled, pooled_reference

import edgert
from edgert import Interpreter
from edgert.errors import InputError

IMAGE = np.random.default_rng(2).normal(size=(1, 4, 4, 2)).astype(np.float32)


def test_it_has_every_method_of_litert() -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    wanted = {
        name for name, member in inspect.getmembers(litert.Interpreter, inspect.isfunction) if not name.startswith("_")
    }
    assert wanted <= set(dir(Interpreter(model_content=pooled())))
    for name in wanted & set(vars(Interpreter)):
        theirs, ours = (inspect.signature(getattr(c, name)) for c in (litert.Interpreter, Interpreter))
        assert list(theirs.parameters) == list(ours.parameters)[: len(theirs.parameters)], name


def test_the_usual_program() -> None:
    interpreter = Interpreter(model_content=pooled(), num_threads=2)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    (scores,) = interpreter.get_output_details()
    assert image["shape"].tolist() == [1, 4, 4, 2]
    assert image["dtype"] is np.float32
    interpreter.set_tensor(image["index"], IMAGE)
    interpreter.invoke()
    assert np.array_equal(interpreter.get_tensor(scores["index"]), pooled_reference(IMAGE))
    assert np.array_equal(interpreter.tensor(scores["index"])(), pooled_reference(IMAGE))


def test_details_of_quantised_tensors() -> None:
    details = Interpreter(model_content=int8_copy()).get_input_details()[0]
    assert details["quantization"] == (0.5, 3)
    assert details["quantization_parameters"]["scales"].tolist() == [0.5]
    assert details["dtype"] is np.int8


def test_resize() -> None:
    interpreter = Interpreter(model_content=pooled())
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [2, 4, 4, 2])
    interpreter.allocate_tensors()
    images = np.concatenate([IMAGE, -IMAGE])
    interpreter.set_tensor(index, images)
    interpreter.invoke()
    output = interpreter.get_output_details()[0]
    assert output["shape"].tolist() == [2, 8]
    assert np.array_equal(interpreter.get_tensor(output["index"]), pooled_reference(images))
    with pytest.raises(InputError, match="is no input"):
        interpreter.resize_tensor_input(output["index"], [1])
    with pytest.raises(InputError, match="strict"):
        interpreter.resize_tensor_input(index, [5, 4, 4, 2], strict=True)


def test_signature_runner() -> None:
    runner = Interpreter(model_content=pooled()).get_signature_runner()
    assert np.array_equal(runner(image=IMAGE)["scores"], pooled_reference(IMAGE))
    with pytest.raises(InputError, match="inputs \\['picture'\\] given, needed \\['image'\\]"):
        runner(picture=IMAGE)


def test_signature_has_the_names_of_the_source(shared_data: Callable[[str], Path]) -> None:
    """Programs call a model by its signature's names, which are not those of the tensors."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    path = shared_data("tflite/hello_world_float.tflite")
    theirs, ours = litert.Interpreter(str(path)), Interpreter(str(path))
    theirs.allocate_tensors()
    assert ours.get_signature_list() == theirs.get_signature_list()
    assert ours.get_input_details()[0]["name"] == theirs.get_input_details()[0]["name"]
    x = np.array([[1.5]], np.float32)
    expected, found = (each.get_signature_runner("serving_default")(dense_input=x) for each in (theirs, ours))
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(found["dense_2"], expected["dense_2"], rtol=1e-5)


@pytest.mark.parametrize("said", ['["a", "b"]', "[", "3", "[" * 100_000, '{"a": 1}'])
def test_signature_that_makes_no_sense_is_passed_over(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = Interpreter(model_content=pooled())

    class Told:
        inputs, outputs = interpreter._model.inputs, interpreter._model.outputs

        def metadata(self, key: str) -> str:
            return said

    monkeypatch.setattr(interpreter, "_model", Told())
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}


def test_steps_and_preserved_tensors() -> None:
    interpreter = Interpreter(model_content=pooled(), experimental_preserve_all_tensors=True)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], IMAGE)
    assert [interpreter.step() for _ in range(4)] == [0, 1, None, 0]
    names = {details["name"]: details["index"] for details in interpreter.get_tensor_details()}
    interpreter.invoke()
    pool = interpreter.get_tensor(names["pool"])
    assert np.array_equal(pool.reshape(1, -1), pooled_reference(IMAGE))
    assert [op["op_name"] for op in interpreter._get_ops_details()] == ["MAX_POOL2D", "RESHAPE"]


def test_wrong_use() -> None:
    with pytest.raises(InputError, match="either model_path or model_content"):
        Interpreter()
    interpreter = Interpreter(model_content=pooled())
    with pytest.raises(InputError, match="tensor 'image' has shape"):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], IMAGE[:, :2])
    with pytest.raises(InputError, match="there is no tensor 99"):
        interpreter.get_tensor(99)
    for use in (interpreter.get_tensor, interpreter.tensor, lambda index: interpreter.set_tensor(index, IMAGE)):
        with pytest.raises(InputError, match="there is no tensor -1"):
            use(-1)
    for threads in (0, -1):
        with pytest.raises(InputError, match=f"num_threads is {threads}"):
            Interpreter(model_content=pooled(), num_threads=threads)
    with pytest.raises(InputError, match="model_path"):
        Interpreter(model_content="model.ert")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="delegates"):
        Interpreter(model_content=pooled(), experimental_delegates=[object()])


def test_it_says_why_it_cannot_be_pickled() -> None:
    """What multiprocessing does with what is passed to a process."""
    for thing in (Interpreter(model_content=pooled()), edgert.Model(pooled())):
        with pytest.raises(TypeError, match="in each process"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="in each process"):
            copy.copy(thing)
