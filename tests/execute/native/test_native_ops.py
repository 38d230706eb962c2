"""Native code against NumPy: every op on its samples, alone and between its neighbours, at one thread and at two."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

from graphad.execute import Executable
from graphad.ir.emit import apply_all
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.op import OPS
from graphad.ir.types import is_inexact, type_of
from graphad.ir.walk import evaluate
from graphad.tracing.trace import make_input

for room in ("ops", "autodiff"):
    package = importlib.import_module(f"graphad.{room}")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"graphad.{room}.{found.name}")
CLASSES = sorted((c for c in OPS.values() if c.__module__.startswith("graphad.") and c.samples), key=lambda c: c.name)


def twice_negated(x):
    """Return x by way of two elementwise ops."""
    negative = -x
    return -negative


def samples_graph(cls, around):
    """Return a graph that applies the op to all its samples, and arrays for it.

    `around` puts elementwise ops before and after it, so that it stands in a larger loop nest where it can.
    """
    rng = np.random.default_rng(0)
    inputs, outputs, arrays = [], [], []
    for sample in cls.samples:
        drawn = [operand.draw(rng) for operand in sample.operands]
        made = [make_input(f"x{len(inputs) + k}", type_of(a)) for k, a in enumerate(drawn)]
        given = [twice_negated(x) if around and x.dtype.kind in "fi" else x for x in made]
        for y in apply_all(cls(**sample.attributes), *given):
            outputs.append(-y if around and y.dtype.kind in "fi" else y)
        inputs += made
        arrays += drawn
    labels = tuple(f"x{k}" for k in range(len(inputs)))
    names = tuple(f"out{k}" for k in range(len(outputs))) if len(outputs) > 1 else ("out",)
    values = tuple(t.value for t in inputs), tuple(t.value for t in outputs)
    graph = Graph("samples", *values, labels, names, *flat_containers(len(inputs), len(outputs)))
    return graph, arrays


def assert_close(got, wanted):
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    if not is_inexact(wanted.dtype):
        np.testing.assert_array_equal(got, wanted)
        return
    real = np.dtype(f"f{wanted.dtype.itemsize // (2 if wanted.dtype.kind == 'c' else 1)}")
    eps = np.finfo(real).eps if wanted.dtype.name != "bfloat16" else 2.0**-7
    np.testing.assert_allclose(got, wanted, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("around", [False, True], ids=["alone", "between"])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.name)
def test_native_code_has_the_values_of_numpy(cls, around):
    graph, arrays = samples_graph(cls, around)
    with np.errstate(all="ignore"):
        wanted = evaluate(graph, arrays)
    exe = Executable(graph, executor="native", threads=1).wait()
    got = exe(*arrays)
    got = got if isinstance(got, tuple) else (got,)
    for a, b in zip(got, wanted, strict=True):
        assert_close(a, b)
