"""What every structural op promises of its samples: types in every layout and place, symbolic sizes, no temporaries."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from graphad.ir.dims import dim, parse_dim, recording, substitute
from graphad.ir.emit import apply
from graphad.ir.op import OPS, Bilinear, Linear
from graphad.ir.types import TensorType, type_of
from graphad.ir.walk import evaluate
from graphad.tracing.trace import make_input, trace

STRUCTURAL = (
    "sum",
    "prod",
    "max",
    "min",
    "any",
    "all",
    "argmax",
    "argmin",
    "cumsum",
    "exclusive_prod",
    "reshape",
    "transpose",
    "broadcast_to",
    "flip",
    "concatenate",
    "slice",
    "pad",
    "update_slice",
    "gather",
    "scatter_add",
    "scatter_set",
    "matmul",
    "iota",
    "cast",
    "stop_gradient",
)
SAMPLES = [
    pytest.param(OPS[name], sample, id=f"{name}{k}")
    for name in STRUCTURAL
    for k, sample in enumerate(OPS[name].samples)
]


@pytest.mark.parametrize(("cls", "sample"), SAMPLES)
def test_types_are_kept_in_every_layout_and_place(cls, sample):
    rng = np.random.default_rng(7)
    op = cls(**sample.attributes)
    operands = [o.draw(rng) for o in sample.operands]
    expected = op.evaluate(*operands)
    assert type_of(expected) == op.infer(*map(type_of, operands))
    assert isinstance(expected, np.ndarray)
    layouts = [
        lambda a: a,
        lambda a: np.asfortranarray(a) if a.ndim else a,
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    ]
    for layout in layouts:
        out = np.full(expected.shape, 77).astype(expected.dtype)
        op.evaluate_into((out,), *map(layout, operands))
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-15)
    if op.view and expected.size:
        assert np.shares_memory(expected, operands[0])
    for k, operand in enumerate(operands):
        if op.in_place and type_of(operand) == type_of(expected):
            copies = [a.copy() for a in operands]
            op.evaluate_into((copies[k],), *copies)
            np.testing.assert_array_equal(copies[k], expected, strict=True)


@pytest.mark.parametrize(("cls", "sample"), SAMPLES)
def test_symbolic_types_become_the_static_ones(cls, sample):
    """Sizes of at least 2 are named; type rule, transpose and batching decide nothing that their binding breaks."""
    sizes = {f"d{n}": n for n in range(2, 20)}

    def read(value):
        if isinstance(value, tuple):
            return tuple(read(item) for item in value)
        return parse_dim(value) if isinstance(value, str) else value

    op = cls(**sample.attributes)
    named = cls(**{**sample.attributes, **{key: read(value) for key, value in sample.symbolic.items()}})
    assert named.bind(sizes) == op
    static = [TensorType(np.dtype(o.dtype), o.shape) for o in sample.operands]
    types = [t.with_shape([dim(f"d{n}") if n >= 2 else n for n in t.shape]) for t in static]
    with recording() as assumptions:
        inputs = [make_input(f"x{k}", t) for k, t in enumerate(types)]
        result = apply(named, *inputs)
        if isinstance(named, Linear):
            for pulled, x in zip(named.vjp((result,), tuple(inputs), (result,)), inputs, strict=True):
                assert pulled is None or pulled.type == x.type
        if inputs:
            batch = [make_input("b", t.with_shape((dim("b"), *t.shape))) for t in types]
            batched = named.batch((True,) * len(batch), *batch)
            assert batched.type == result.type.with_shape((dim("b"), *result.shape))
    assert tuple(substitute(n, sizes) for n in result.shape) == op.infer(*static).shape
    for assumption in assumptions:
        assert assumption.holds({**sizes, "b": 5}), assumption


def _is_linear_map_of_floats(cls, sample):
    static = [TensorType(np.dtype(o.dtype), o.shape) for o in sample.operands]
    return (
        issubclass(cls, (Linear, Bilinear))
        and static[0].dtype.kind == "f"
        and cls(**sample.attributes).infer(*static).dtype.kind == "f"
    )


@pytest.mark.parametrize(("cls", "sample"), [p for p in SAMPLES if _is_linear_map_of_floats(*p.values)])
def test_cotangents_are_the_transposed_map(cls, sample):
    """<g, f(t)> = <pulled g, t>, operand by operand, for what is linear in each."""
    op, rng = cls(**sample.attributes), np.random.default_rng(11)
    operands = [o.draw(rng) for o in sample.operands]
    result = op.infer(*map(type_of, operands))
    g = rng.standard_normal(result.shape).astype(result.dtype)

    def pulled(*tensors):
        *inputs, cotangent = tensors
        result = apply(op, *inputs)
        found = op.vjp((cotangent,), tuple(inputs), (result,))
        return [x.zeros_like() if p is None else p for p, x in zip(found, inputs, strict=True)]

    cotangents = evaluate(trace(pulled, *operands, g), [*operands, g])
    for k, operand in enumerate(operands):
        if operand.dtype.kind != "f":
            np.testing.assert_array_equal(cotangents[k], np.zeros_like(operand))
            continue
        tangent = rng.standard_normal(operand.shape)
        moved, still = list(operands), list(operands)
        moved[k], still[k] = tangent, np.zeros_like(operand)
        pushed = op.evaluate(*moved) - op.evaluate(*still)
        half = np.float16 in (operand.dtype, result.dtype)
        left, right = np.sum(g * pushed), np.sum(cotangents[k] * tangent)
        np.testing.assert_allclose(left, right, rtol=5e-3 if half else 1e-6, atol=1e-12)


@pytest.mark.parametrize("size", [3, 1, 0])
@pytest.mark.parametrize(("cls", "sample"), [p for p in SAMPLES if p.values[1].operands])
def test_a_batch_is_the_loop_over_it(cls, sample, size):
    op, rng = cls(**sample.attributes), np.random.default_rng(5)
    one = [o.draw(rng) for o in sample.operands]
    many = [np.stack([o.draw(rng) for _ in range(size + 1)])[:size] for o in sample.operands]
    expected_type = op.infer(*map(type_of, one))
    for batched in itertools.product([False, True], repeat=len(one)):
        if not any(batched):
            continue
        operands = [m if has else o for m, o, has in zip(many, one, batched, strict=True)]
        (got,) = evaluate(trace(lambda *t, b=batched: op.batch(b, *t), *operands), operands)
        assert type_of(got) == expected_type.with_shape((size, *expected_type.shape))
        for k in range(size):
            expected = op.evaluate(*[a[k] if has else a for a, has in zip(operands, batched, strict=True)])
            np.testing.assert_allclose(got[k], expected, rtol=1e-6, atol=1e-12)


def _large(name, order):
    """Operands of about a megabyte and an op, whose result must be written without temporaries."""

    def array(*shape, dtype=np.float64):
        return np.ones(shape, dtype, order=order)

    x = array(400, 300)
    return {
        "sum": (OPS["sum"](axes=(0,)), x),
        "prod": (OPS["prod"](axes=(1,)), x),
        "max": (OPS["max"](axes=(0, 1)), x),
        "min": (OPS["min"](axes=(1,)), x),
        "any": (OPS["any"](axes=(0,)), array(1000, 900, dtype=bool)),
        "all": (OPS["all"](axes=(1,)), array(1000, 900, dtype=bool)),
        "cumsum": (OPS["cumsum"](axis=0, backwards=True), x),
        "reshape": (OPS["reshape"](shape=(300, 400)), x),
        "transpose": (OPS["transpose"](permutation=(1, 0)), x),
        "broadcast_to": (OPS["broadcast_to"](shape=(400, 300)), array(300)),
        "flip": (OPS["flip"](axes=(0,)), x),
        "concatenate": (OPS["concatenate"](axis=0), x, x),
        "slice": (OPS["slice"](starts=(0, 0), stops=(400, 300), steps=(1, 2)), x),
        "pad": (OPS["pad"](low=(1, 1), high=(0, 0), interior=(1, 0)), x),
        "update_slice": (
            OPS["update_slice"](starts=(0, 0), stops=(400, 300), steps=(1, 2)),
            x,
            array(400, 150),
        ),
        "matmul": (OPS["matmul"](), x, array(300, 200)),
        "cast": (OPS["cast"](dtype=np.dtype(np.float32)), x),
        "stop_gradient": (OPS["stop_gradient"](), x),
    }[name]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", [name for name in STRUCTURAL if not OPS[name].allocates])
def test_results_are_written_without_temporaries(name, order):
    op, *operands = _large(name, order)
    result = op.infer(*map(type_of, operands))
    out = np.empty(result.shape, result.dtype)
    op.evaluate_into((out,), *operands)  # whatever is made once is made here
    tracemalloc.start()
    op.evaluate_into((out,), *operands)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4096
