"""The op table: every rule of every op, on the op's own samples.

An op is tested here by existing: nothing is to be added for a new one but `samples` in its class.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from graphad.autodiff.batching import batch_values
from graphad.autodiff.forward import pushforward
from graphad.autodiff.reverse import pullback
from graphad.ir.dims import dim, parse_dim, recording
from graphad.ir.emit import apply_all
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.op import _bind_attribute
from graphad.ir.parser import parse
from graphad.ir.printer import print_graph
from graphad.ir.types import TensorType, type_of
from graphad.ir.walk import Evaluator, evaluate
from graphad.tracing.trace import make_input

ROOT = Path(__file__).resolve().parents[2]


def _load_op_table():
    spec = importlib.util.spec_from_file_location("op_table", ROOT / "tools" / "op_table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["op_table"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


op_table = _load_op_table()
OPS = op_table.load_ops()
CASES = [pytest.param(cls, sample, id=f"{cls.name}-{k}") for cls in OPS for k, sample in enumerate(cls.samples)]
STEP = 1e-6

# Holes that are meant: (op, what it lacks) and why.
DECLARED_HOLES = {("input", "samples"): "has no meaning of its own: a call gives its value"}


def cases(keep):
    """Return the samples for which `keep(cls, sample)` holds, as parameters."""
    return [case for case in CASES if keep(*case.values)]


def is_inexact(array_or_tensor):
    return array_or_tensor.dtype.kind in "fc"


def paired(cotangents, tangents):
    """Return the sum of Re(cotangent * tangent): what a VJP and its JVP agree in."""
    return np.sum([np.sum(np.real(g * t)) for g, t in zip(cotangents, tangents, strict=True)])


def random_like(rng, array_or_tensor):
    """Return numbers between -1 and 1, in both parts where the array is complex."""
    shape = array_or_tensor.shape
    drawn = np.asarray(rng.uniform(-1, 1, shape))
    return drawn + 1j * rng.uniform(-1, 1, shape) if array_or_tensor.dtype.kind == "c" else drawn


def draw(sample, seed=0):
    rng = np.random.default_rng(seed)
    return [operand.draw(rng) for operand in sample.operands]


def graph_of(inputs, outputs):
    """Return the graph between tensors."""
    return Graph(
        "sample",
        tuple(t.value for t in inputs),
        tuple(t.value for t in outputs),
        tuple(f"x{i}" for i in range(len(inputs))),
        tuple(f"out{i}" for i in range(len(outputs))),
        *flat_containers(len(inputs), len(outputs)),
    )


def stand_ins(types, label="x"):
    return [make_input(f"{label}{i}", type_) for i, type_ in enumerate(types)]


def applied(cls, sample, arrays):
    """Return inputs and outputs of one application of the op."""
    inputs = stand_ins([type_of(a) for a in arrays])
    return inputs, list(apply_all(cls(**sample.attributes), *inputs))


def tuple_of(results):
    return results if isinstance(results, tuple) else (results,)


def assert_same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def widened(sample, arrays, cls):
    """Return the operands in float64 or complex128 where the op takes them so."""
    return [a.astype({"f": np.float64, "c": np.complex128}.get(a.dtype.kind, a.dtype)) for a in arrays]


# Values


@pytest.mark.parametrize(("cls", "sample"), CASES)
def test_inferred_type_is_the_evaluated_type(cls, sample):
    arrays = draw(sample)
    op = cls(**sample.attributes)
    with np.errstate(all="ignore"):
        results = tuple_of(op.evaluate(*arrays))
    assert tuple(type_of(np.asarray(r)) for r in results) == tuple_of(op.infer(*map(type_of, arrays)))


@pytest.mark.parametrize(("cls", "sample"), CASES)
def test_evaluate_into_is_evaluate_and_leaves_the_operands_alone(cls, sample):
    arrays = draw(sample)
    kept = [a.copy() for a in arrays]
    op = cls(**sample.attributes)
    with np.errstate(all="ignore"):
        expected = [np.array(r) for r in tuple_of(op.evaluate(*arrays))]
        out = tuple(np.full_like(r, 1) for r in expected)
        op.evaluate_into(out, *arrays)
    for got, wanted in zip(out, expected, strict=True):
        assert_same(got, wanted)
    for now, before in zip(arrays, kept, strict=True):
        assert_same(now, before)


@pytest.mark.parametrize(("cls", "sample"), cases(lambda cls, s: cls.in_place and s.operands))
def test_an_in_place_op_may_overwrite_each_operand_of_its_type(cls, sample):
    op = cls(**sample.attributes)
    with np.errstate(all="ignore"):
        expected = np.array(tuple_of(op.evaluate(*draw(sample)))[0])
        for position in range(len(sample.operands)):
            arrays = draw(sample)
            if type_of(arrays[position]) == type_of(expected):
                op.evaluate_into((arrays[position],), *arrays)
                assert_same(arrays[position], expected)


class _Recorder(Evaluator):
    """Evaluates, and keeps the operands of the nodes of one op."""

    def __init__(self, cls):
        self.cls = cls
        self.found = []

    def visit(self, node, operands):
        if type(node.op) is self.cls:
            self.found.append((node.op, operands))
        return super().visit(node, operands)


def largest_application(cls, sample, size):
    """Return the op and its operands in a batch of `size` of the sample; None where the batch needs no such op."""
    arrays = draw(sample)
    inputs, outputs = applied(cls, sample, arrays)
    batches = stand_ins([TensorType(a.dtype, (size, *a.shape)) for a in arrays], "xs")
    batched = [t for t, _ in batch_values(outputs, inputs, batches, size)]
    recorder = _Recorder(cls)
    recorder.run(graph_of(batches, batched), [np.repeat(a[None], size, 0) for a in arrays])
    return max(recorder.found, key=lambda item: sum(x.size for x in item[1]), default=None)


@pytest.mark.parametrize("cls", [c for c in OPS if not c.allocates and any(s.operands for s in c.samples)])
def test_an_op_that_promises_it_allocates_nothing(cls):
    # A large batch makes the op large, so that a temporary is seen over what Python itself allocates.
    measured = 0
    for sample in cls.samples:
        if not all(np.prod(o.shape) for o in sample.operands):
            continue
        with np.errstate(all="ignore"):
            found = largest_application(cls, sample, 1 << 14)
            if found is None:
                continue
            op, operands = found[0], [np.ascontiguousarray(x) for x in found[1]]
            out = tuple(np.empty_like(np.asarray(r), order="C") for r in tuple_of(op.evaluate(*operands)))
            op.evaluate_into(out, *operands)
            tracemalloc.start()
            try:
                op.evaluate_into(out, *operands)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        smallest = min(x.nbytes for x in (*out, *operands))
        assert peak < max(smallest / 2, 1 << 12), f"{peak} bytes beside arrays of at least {smallest}"
        measured += 1
    assert measured, "no sample shows it"


# Derivatives


def differentiable(cls, sample):
    return bool(sample.smooth and not cls.no_gradient and any(np.dtype(o.dtype).kind in "fc" for o in sample.operands))


DIFFERENTIABLE = cases(differentiable)


class Directional:
    """The op on float64 operands, a random direction for each, and random weights of the results."""

    def __init__(self, cls, sample):
        self.arrays = widened(sample, draw(sample), cls)
        self.inputs, self.outputs = applied(cls, sample, self.arrays)
        rng = np.random.default_rng(1)
        self.floats = [i for i, a in enumerate(self.arrays) if is_inexact(a)]
        self.directions = [random_like(rng, self.arrays[i]) for i in self.floats]
        self.weights = [
            np.asarray(random_like(rng, t)).astype(t.dtype) if is_inexact(t) else None for t in self.outputs
        ]
        # A result in float32 (a cast) shows its derivative to few digits.
        self.single = any(t.dtype in (np.float32, np.complex64) for t in self.outputs)
        self.step = 1e-2 if self.single else STEP
        self.tolerance = {"rtol": 2e-3, "atol": 2e-3} if self.single else {"rtol": 1e-6, "atol": 1e-7}

    def moved(self, amount):
        arrays = list(self.arrays)
        for i, direction in zip(self.floats, self.directions, strict=True):
            arrays[i] = arrays[i] + amount * direction
        return arrays

    def numeric(self, function):
        """Return the central difference of a number along the directions."""
        high, low = function(self.moved(self.step)), function(self.moved(-self.step))
        return (high - low) / (2 * self.step)

    def weighted(self, results):
        kept = [(w, r) for w, r in zip(self.weights, results, strict=True) if w is not None]
        return paired([w for w, _ in kept], [r for _, r in kept])

    def float_inputs(self):
        return [self.inputs[i] for i in self.floats]

    def gradients(self):
        """Return the cotangent stand-ins and the tensors w^T J, zeros where no gradient flows."""
        cotangents = [make_input(f"w{i}", t.type) if is_inexact(t) else None for i, t in enumerate(self.outputs)]
        pulled = pullback(self.outputs, cotangents, self.float_inputs())
        found = [x.zeros_like() if g is None else g for g, x in zip(pulled, self.float_inputs(), strict=True)]
        return [c for c in cotangents if c is not None], found

    def given_weights(self):
        return [w for w in self.weights if w is not None]

    def along(self, gradients):
        return paired(gradients, self.directions)


@pytest.mark.parametrize(("cls", "sample"), DIFFERENTIABLE)
def test_vjp_agrees_with_central_differences(cls, sample):
    case = Directional(cls, sample)
    forward = graph_of(case.inputs, case.outputs)
    cotangents, gradients = case.gradients()
    backward = graph_of([*case.inputs, *cotangents], gradients)
    numeric = case.numeric(lambda arrays: case.weighted(evaluate(forward, arrays)))
    got = case.along(evaluate(backward, [*case.arrays, *case.given_weights()]))
    np.testing.assert_allclose(got, numeric, **case.tolerance)


def complex_step(case, op):
    """Return Im f(x + ih)/h along the directions, which has no cancellation.

    None where NumPy does not evaluate the op on complex numbers, or not analytically (`abs`).
    """
    tiny = 1e-30
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            results = tuple_of(op.evaluate(*case.moved(1j * tiny)))
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return None
    exact = case.weighted([np.imag(r) / tiny for r in results])
    numeric = case.numeric(lambda arrays: case.weighted(evaluate(graph_of(case.inputs, case.outputs), arrays)))
    return exact if np.allclose(exact, numeric, rtol=1e-5, atol=1e-5) else None


def has_complex_step(cls, sample):
    if not differentiable(cls, sample):
        return False
    case = Directional(cls, sample)
    if any(x.dtype.kind == "c" for x in (*case.inputs, *case.outputs)):
        return False
    return complex_step(case, cls(**sample.attributes)) is not None


ANALYTIC = cases(has_complex_step)


def test_the_complex_step_applies_to_analytic_functions():
    names = {case.values[0].name for case in ANALYTIC}
    assert {"add", "mul", "div", "exp", "log", "sin", "tanh", "sqrt", "matmul", "sum", "reshape"} <= names


@pytest.mark.parametrize(("cls", "sample"), ANALYTIC)
def test_vjp_agrees_with_the_complex_step(cls, sample):
    case = Directional(cls, sample)
    exact = complex_step(case, cls(**sample.attributes))
    cotangents, gradients = case.gradients()
    backward = graph_of([*case.inputs, *cotangents], gradients)
    got = case.along(evaluate(backward, [*case.arrays, *case.given_weights()]))
    np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("cls", "sample"), DIFFERENTIABLE)
def test_second_derivatives_agree_with_differences_of_the_first(cls, sample):
    case = Directional(cls, sample)
    cotangents, gradients = case.gradients()
    first = graph_of([*case.inputs, *cotangents], gradients)
    directions = stand_ins([type_of(d) for d in case.directions], "v")
    pulled = pullback(gradients, directions, case.float_inputs())
    second = [x.zeros_like() if g is None else g for g, x in zip(pulled, case.float_inputs(), strict=True)]
    backward = graph_of([*case.inputs, *cotangents, *directions], second)
    weights = case.given_weights()
    numeric = case.numeric(lambda arrays: case.along(evaluate(first, [*arrays, *weights])))
    got = case.along(evaluate(backward, [*case.arrays, *weights, *case.directions]))
    tolerance = case.tolerance if case.single else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(got, numeric, **tolerance)


@pytest.mark.parametrize(("cls", "sample"), DIFFERENTIABLE)
def test_jvp_is_the_transpose_of_vjp(cls, sample):
    case = Directional(cls, sample)
    cotangents, gradients = case.gradients()
    directions = stand_ins([type_of(d) for d in case.directions], "v")
    pushed = pushforward(case.outputs, directions, case.float_inputs())
    kept = [i for i, t in enumerate(case.outputs) if is_inexact(t)]
    tangents = [case.outputs[i].zeros_like() if pushed[i] is None else pushed[i] for i in kept]
    both = graph_of([*case.inputs, *cotangents, *directions], [*gradients, *tangents])
    results = evaluate(both, [*case.arrays, *case.given_weights(), *case.directions])
    left = case.along(results[: len(gradients)])
    right = paired([case.weights[i] for i in kept], results[len(gradients) :])
    np.testing.assert_allclose(left, right, rtol=1e-4 if case.single else 1e-10, atol=1e-12)


@pytest.mark.parametrize(("cls", "sample"), DIFFERENTIABLE)
def test_one_operand_alone_has_the_same_jvp(cls, sample):
    case = Directional(cls, sample)
    for i, direction in zip(case.floats, case.directions, strict=True):
        v = make_input("v", type_of(direction))
        alone = pushforward(case.outputs, [v], [case.inputs[i]])
        others = [case.inputs[k].zeros_like() for k in case.floats if k != i]
        inputs = [case.inputs[i], *(case.inputs[k] for k in case.floats if k != i)]
        together = pushforward(case.outputs, [v, *others], inputs)
        pairs = [
            (y.zeros_like() if a is None else a, y.zeros_like() if b is None else b)
            for a, b, y in zip(alone, together, case.outputs, strict=True)
            if is_inexact(y)
        ]
        graph = graph_of([*case.inputs, v], [t for pair in pairs for t in pair])
        results = evaluate(graph, [*case.arrays, direction])
        for a, b in zip(results[::2], results[1::2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "sample"),
    cases(lambda cls, s: cls.no_gradient and any(np.dtype(o.dtype).kind in "fc" for o in s.operands)),
)
def test_no_gradient_flows_where_the_op_says_so(cls, sample):
    inputs, outputs = applied(cls, sample, draw(sample))
    cotangents = [make_input("g", t.type) if is_inexact(t) else None for t in outputs]
    assert pullback(outputs, cotangents, inputs) == [None] * len(inputs)
    assert pushforward(outputs, [t if is_inexact(t) else None for t in inputs], inputs) == [None] * len(outputs)


# Batching


@pytest.mark.parametrize(("cls", "sample"), cases(lambda cls, s: s.operands))
@pytest.mark.parametrize("size", [3, 1, 0])
def test_batching_agrees_with_a_loop(cls, sample, size):
    elements = [draw(sample, seed) for seed in range(max(size, 1))]
    inputs, outputs = applied(cls, sample, elements[0])
    forward = graph_of(inputs, outputs)
    count = len(inputs)
    for flags in itertools.product((False, True), repeat=count):
        if not any(flags) or (size != 3 and not all(flags)):
            continue
        chosen = [i for i in range(count) if flags[i]]
        batches = stand_ins([TensorType(inputs[i].dtype, (size, *inputs[i].shape)) for i in chosen], "xs")
        found = batch_values(outputs, [inputs[i] for i in chosen], batches, size)
        assert [t.shape for t, has in found if has] == [(size, *y.shape) for y in outputs]
        given = [np.stack([e[i] for e in elements])[:size] for i in chosen]
        batched = evaluate(graph_of([*batches, *inputs], [t for t, _ in found]), [*given, *elements[0]])
        for k in range(size):
            one = evaluate(forward, [elements[k][i] if flags[i] else elements[0][i] for i in range(count)])
            for whole, wanted in zip(batched, one, strict=True):
                np.testing.assert_allclose(whole[k], wanted, rtol=1e-6 if wanted.dtype in ("f4", "c8") else 1e-12)
        for whole, y in zip(batched, outputs, strict=True):
            assert whole.dtype == y.dtype and whole.shape == (size, *y.shape)


# Symbolic sizes


def named_sizes(sample):
    """Return the sample's operand types with every size n >= 2 named, and the binding back."""
    sizes = {n for operand in sample.operands for n in operand.shape if n >= 2}
    sizes |= {int(n) for n in re.findall(r"\bd(\d+)", repr(sample.symbolic))}
    binding = {f"d{n}": n for n in sizes}
    types = [
        TensorType(np.dtype(o.dtype), tuple(dim(f"d{n}") if n >= 2 else n for n in o.shape)) for o in sample.operands
    ]
    return types, binding


def with_named_sizes(value):
    if isinstance(value, str):
        return parse_dim(value)
    return tuple(with_named_sizes(item) for item in value) if isinstance(value, tuple) else value


def symbolic_op(cls, sample):
    changed = {name: with_named_sizes(value) for name, value in sample.symbolic.items()}
    return cls(**{**sample.attributes, **changed})


@pytest.mark.parametrize(("cls", "sample"), CASES)
def test_named_sizes_infer_and_bind_to_the_static_type(cls, sample):
    types, binding = named_sizes(sample)
    op = symbolic_op(cls, sample)
    with recording() as assumptions:
        results = tuple_of(op.infer(*types))
    static = tuple_of(
        cls(**sample.attributes).infer(*(TensorType(np.dtype(o.dtype), o.shape) for o in sample.operands))
    )
    assert tuple(_bind_attribute(t, binding) for t in results) == static
    assert op.bind(binding) == cls(**sample.attributes)
    for assumption in assumptions:
        assert assumption.holds(binding), f"{assumption} does not hold for the sample itself"


@pytest.mark.parametrize(("cls", "sample"), DIFFERENTIABLE)
def test_derivatives_with_named_sizes_bind_to_the_static_derivatives(cls, sample):
    types, binding = named_sizes(sample)
    with recording() as assumptions:
        inputs = stand_ins(types)
        outputs = list(apply_all(symbolic_op(cls, sample), *inputs))
        cotangents = [make_input(f"w{i}", t.type) if is_inexact(t) else None for i, t in enumerate(outputs)]
        floats = [t for t in inputs if is_inexact(t)]
        pulled = [
            x.zeros_like() if g is None else g
            for g, x in zip(pullback(outputs, cotangents, floats), floats, strict=True)
        ]
    given = [c for c in cotangents if c is not None]
    symbolic = graph_of([*inputs, *given], pulled).with_assumptions(tuple(assumptions))
    bound = symbolic.bind(**{n: size for n, size in binding.items() if n in symbolic.size_names})
    assert bound.static
    arrays = draw(sample)
    static_inputs, static_outputs = applied(cls, sample, arrays)
    static_cotangents = [make_input(f"w{i}", t.type) if is_inexact(t) else None for i, t in enumerate(static_outputs)]
    static_floats = [t for t in static_inputs if is_inexact(t)]
    expected = [
        x.zeros_like() if g is None else g
        for g, x in zip(pullback(static_outputs, static_cotangents, static_floats), static_floats, strict=True)
    ]
    static = graph_of([*static_inputs, *(c for c in static_cotangents if c is not None)], expected)
    rng = np.random.default_rng(2)
    weights = [np.asarray(random_like(rng, t)).astype(t.dtype) for t in static_cotangents if t is not None]
    for got, wanted in zip(evaluate(bound, [*arrays, *weights]), evaluate(static, [*arrays, *weights]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6 if wanted.dtype in ("f4", "c8") else 1e-12)


# Text


@pytest.mark.parametrize(("cls", "sample"), CASES)
def test_printed_form_parses_back(cls, sample):
    inputs, outputs = applied(cls, sample, draw(sample))
    graph = graph_of(inputs, outputs)
    assert parse(print_graph(graph)) == graph
    types, _ = named_sizes(sample)
    with recording() as assumptions:
        inputs = stand_ins(types)
        outputs = apply_all(symbolic_op(cls, sample), *inputs)
    symbolic = graph_of(inputs, outputs).with_assumptions(tuple(assumptions))
    assert parse(print_graph(symbolic)) == symbolic


# Holes


def holes(row):
    """Return what an op lacks."""
    takes_operands = any(sample.operands for sample in row.op.samples)
    return [
        name
        for name, missing in (
            ("samples", row.samples == 0),
            ("vjp", row.vjp == "missing"),
            ("jvp", row.jvp == "missing"),
            ("batch", row.batch == "unrolled" and takes_operands),
            ("documentation", not row.meaning),
        )
        if missing
    ]


@pytest.mark.parametrize("row", list(op_table.rows()), ids=lambda row: row.op.name)
def test_a_hole_in_the_table_is_declared(row):
    undeclared = [hole for hole in holes(row) if (row.op.name, hole) not in DECLARED_HOLES]
    assert not undeclared, f"op {row.op.name} has no {', no '.join(undeclared)}: add it, or declare why"


def test_declared_holes_are_holes():
    found = {(row.op.name, hole) for row in op_table.rows() for hole in holes(row)}
    assert set(DECLARED_HOLES) <= found


def test_the_document_is_up_to_date():
    assert op_table.DOCUMENT.read_text(encoding="utf-8") == op_table.document(), "run python tools/op_table.py"
