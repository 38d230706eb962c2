"""Products with epilogues, as steps of whole graphs: what joins them, and the same values as NumPy's."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
sys.path.insert(0, str(Path(__file__).parent))
from both_executors import check, share_everything

import graphad as ga
from graphad.execute.native import compilation, product_cut
from graphad.execute.native.epilogues import Finished
from graphad.execute.native.preparing import prepared
from graphad.ir.leaf import Constant
from graphad.ops.shape import BroadcastTo

rng = np.random.default_rng(3)


def array(*shape: int, dtype: type = np.float32) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape).astype(dtype)


def epilogues(function: Callable[..., Any], *arrays: Any) -> list[list[str]]:
    """Return the ops of each product with an epilogue in the native graph."""
    graph = prepared(ga.optimize(ga.trace(function, *arrays)))
    found = [node.op for node in graph.nodes if isinstance(node.op, Finished)]
    return [
        [node.op.name for node in (op.product, *op.members) if not isinstance(node.op, (Constant, BroadcastTo))]
        for op in found
    ]


def layer(x: Any, w: Any, b: Any) -> Any:
    return np.maximum(x @ w + b, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_is_one_step(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)
    given = array(37, 60, dtype=dtype), array(60, 45, dtype=dtype), array(45, dtype=dtype)
    assert epilogues(layer, *given) == [["accumulate", "maximum"]]
    check(layer, *given)


def test_the_sums_wait_in_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small cache the terms come in blocks."""
    share_everything(monkeypatch)
    monkeypatch.setattr(product_cut, "FIRST_LEVEL", 4096)
    monkeypatch.setattr(product_cut, "BEYOND_FIRST_LEVEL", 4096)
    given = array(70, 400), array(400, 90), array(90)
    check(layer, *given)
    check(lambda x, w, b: (x @ w > b, np.tanh(x @ w)), *given)
    check(lambda x, w, b: x @ w > b, *given)


def test_layers_and_their_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)

    def loss(parameters: Any, x: Any) -> Any:
        for w, b in parameters:
            x = layer(x, w, b)
        return np.mean(x**2)

    parameters = [(array(30, 50), array(50)), (array(50, 40), array(40))]
    leaves = [leaf for pair in parameters for leaf in pair]

    def both(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        return ga.value_and_grad(loss)([(w1, b1), (w2, b2)], x)

    assert epilogues(both, array(64, 30), *leaves)
    check(both, array(64, 30), *leaves)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stacks_masks_and_other_types(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)

    def scores(q: Any, k: Any, mask: Any, shift: Any) -> Any:
        made = q @ k.swapaxes(-1, -2) * 0.125
        return np.where(mask, made + shift, -1.0).astype(np.float32), (made * 3).astype(np.int32)

    mask = rng.random((40, 50)) > 0.5
    given = array(3, 40, 20, dtype=dtype), array(3, 50, 20, dtype=dtype), mask, array(3, 1, 50, dtype=dtype)
    assert epilogues(scores, *given)
    check(scores, *given, bound=1e-4)


def test_a_costly_epilogue(monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)

    def gelu(x: Any, w: Any, b: Any) -> Any:
        u = x @ w + b
        return 0.5 * u * (1 + np.tanh(0.7978845608 * (u + 0.044715 * u**3)))

    given = array(50, 64), array(64, 100), array(100)
    assert epilogues(gelu, *given)
    check(gelu, *given)


def test_few_columns_and_tiny_products_have_none() -> None:
    assert epilogues(layer, array(100, 60), array(60, 3), array(3)) == []
    assert epilogues(layer, array(6, 4), array(4, 6), array(6)) == []


@pytest.fixture
def compiled_products(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the list of functions of products that LLVM compiles from now on."""
    monkeypatch.setenv("GRAPHAD_CACHE_DIR", str(tmp_path))
    made: list[str] = []
    genuine = compilation.object_code

    def noted(text: str, level: int) -> bytes:
        made.extend(re.findall(r"^define .*@((?:product|dots|tiles|pack)_[\w.]+)\(", text, re.MULTILINE))
        return genuine(text, level)

    monkeypatch.setattr(compilation, "object_code", noted)
    return made


def test_another_batch_compiles_no_product(compiled_products: list[str]) -> None:
    """Forward the batch is the rows of A, and for the gradient of weights it is the terms."""

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for w, b in parameters[:-1]:
            x = layer(x, w, b)
        w, b = parameters[-1]
        return np.mean((x @ w + b - y) ** 2)

    sizes = [(60, 96), (96, 64), (64, 10)]
    parameters = [(array(m, n) / np.float32(m**0.5), array(n)) for m, n in sizes]
    steps, counts = [], []
    for batch in (128, 96, 61, 250, 33):
        given = parameters, array(batch, 60), array(batch, 10)
        step = ga.compile(ga.value_and_grad(loss), *given, executor="native", wait=True)
        steps.append(step)
        counts.append(len(compiled_products))
        value, gradients = step(*given)
        expected, references = ga.compile(ga.value_and_grad(loss), *given, executor="reference")(*given)
        np.testing.assert_allclose(value, expected, rtol=1e-4)
        for found, reference in zip(gradients, references, strict=True):
            for x, y in zip(found, reference, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)
    assert counts[0] > 0
    assert counts == counts[:1] * 5
