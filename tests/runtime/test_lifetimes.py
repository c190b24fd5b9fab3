"""Nothing that a Python program does with sessions, views and threads may crash the process."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from runtime.models import counter, pooled, pooled_reference

from edgert import Interpreter
from edgert.dtypes import DType
from edgert.errors import EdgertError, FileFormatError, InputError
from edgert.ir import Graph, Node, Value
from edgert.pack.writer import write
from edgert.runtime import _native

IMAGE = np.random.default_rng(5).normal(size=(1, 4, 4, 2)).astype(np.float32)


def slow() -> bytes:
    """A product of 400 by 400 matrices: a run that other threads can meet."""
    a, b, y = (Value(name, (400, 400), DType.FLOAT32) for name in "aby")
    return write(Graph("slow", [a, b], [y], [Node("matmul", [a, b], [y], {}, "product")]))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_that_share_an_interpreter_are_told(threads: int) -> None:
    interpreter = Interpreter(model_content=slow(), num_threads=threads)
    refusals: list[str] = []
    finished = []

    def work() -> None:
        for _ in range(40):
            try:
                interpreter.invoke()
                finished.append(1)
                interpreter.step()
                interpreter.session.rewind()
            except InputError as error:
                refusals.append(str(error))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert finished
    assert refusals, "no two threads met: make the model slower"
    assert all("another thread is running this model" in text for text in refusals)
    interpreter.invoke()  # and the session is as good as ever


def test_a_resize_during_a_run_is_refused() -> None:
    session = _native.Session(_native.Model(content=slow()))
    outcomes: set[str] = set()
    stop = threading.Event()

    def resize() -> None:
        while not stop.is_set():
            try:
                session.resize_input(0, (400, 400))
                outcomes.add("resized")
            except InputError as error:
                outcomes.add(str(error))

    thread = threading.Thread(target=resize)
    thread.start()
    for _ in range(60):
        try:
            session.invoke()
        except InputError as error:  # the other thread was first
            outcomes.add(str(error))
    stop.set()
    thread.join()
    assert outcomes - {"resized"} <= {
        "another thread is running this model: give every thread an interpreter of its own"
    }
    assert session.tensor(0)[3] == (400, 400)


class Liar:
    """Says that it has two items and gives a thousand."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[int]:
        return iter([1] * 1000)


def test_shapes_that_lie_about_their_length() -> None:
    session = _native.Session(_native.Model(content=pooled()))
    with pytest.raises(InputError, match="1000 dimensions"):
        session.resize_input(0, Liar())
    for shape in ((0, 4, 4, 2), (-1, 4, 4, 2), (2**31, 1, 1, 1), (1,) * 9):
        with pytest.raises(InputError, match="dimension"):
            session.resize_input(0, shape)
    with pytest.raises(TypeError):
        session.resize_input(0, (1.5, 4, 4, 2))
    assert session.tensor(session.model.inputs[0])[3] == (1, 4, 4, 2)


def test_a_view_made_while_the_shape_is_read_prevents_the_resize() -> None:
    session = _native.Session(_native.Model(content=pooled()))
    views = []

    class Sneaky:
        def __index__(self) -> int:
            views.append(np.asarray(session.view(session.model.inputs[0])))
            return 2

    with pytest.raises(InputError, match="1 arrays still point"):
        session.resize_input(0, (Sneaky(), 4, 4, 2))
    views[0][...] = IMAGE
    session.invoke()
    assert np.array_equal(np.asarray(session.view(session.model.outputs[0])).reshape(1, -1), pooled_reference(IMAGE))


@pytest.mark.parametrize("shape", [(1, 2, 2, 2), (3, 4, 4, 2), (1, 4, 4, 5), (2**30, 2**30, 4, 2), (1, 4), ()])
def test_a_failed_resize_keeps_the_session(shape: tuple[int, ...]) -> None:
    session = _native.Session(_native.Model(content=pooled()))
    image, scores = session.model.inputs[0], session.model.outputs[0]
    try:
        session.resize_input(0, shape)
    except EdgertError:
        assert session.tensor(image)[3] == (1, 4, 4, 2)
    else:
        assert session.tensor(image)[3] == shape
        session.invoke()
        session.resize_input(0, (1, 4, 4, 2))
    np.asarray(session.view(image))[...] = IMAGE
    session.invoke()
    assert np.array_equal(np.asarray(session.view(scores)), pooled_reference(IMAGE))


def test_views_in_cycles_are_counted_when_they_go() -> None:
    session = _native.Session(_native.Model(content=counter()))
    for _ in range(3):
        cycle: list[object] = [session.view(session.model.inputs[0]), np.asarray(session.view(0))]
        cycle.append(cycle)
        del cycle
        gc.collect()
    session.resize_input(0, (3,))  # no view is left


def test_constructors_that_fail_leave_nothing_behind() -> None:
    for arguments in ({}, {"content": 3}, {"path": 3.5}, {"content": b""}, {"path": "no such file"}):
        with pytest.raises((TypeError, EdgertError)):
            _native.Model(**arguments)
    source = bytearray(b"not a package at all")
    with pytest.raises(FileFormatError):
        _native.Model(content=source)
    source.append(1)  # BufferError if the failed model still held it
    model = _native.Model(content=pooled())
    for threads in (-1, 257, 2**31 - 1):
        with pytest.raises(InputError, match="threads"):
            _native.Session(model, threads)
    with pytest.raises(InputError, match="no instruction set"):
        _native.Session(model, 1, "pentium")
    with pytest.raises(TypeError):
        _native.Session(None)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the very thing that is tested
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_runs_without_the_parents_threads() -> None:
    """Its copy of the model, and models of its own; the parent keeps its threads."""
    package = slow()
    interpreter = Interpreter(model_content=package, num_threads=2)
    interpreter.allocate_tensors()
    inputs = [np.random.default_rng(i).normal(size=(400, 400)).astype(np.float32) for i in range(2)]
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    y = interpreter.get_output_details()[0]["index"]
    expected = interpreter.get_tensor(y)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(30)  # ends a child that hangs
            interpreter.invoke()
            own = Interpreter(model_content=package, num_threads=2)
            own.invoke()
            code = 0 if np.array_equal(interpreter.get_tensor(y), expected) else 2
            del own, interpreter
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(y), expected)
