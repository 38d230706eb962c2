"""Temporaries of NumPy's evaluation: never more than an op says, on samples that are larger than the table's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad import ops
from graphad.ir.errors import GraphadError, MemoryBudgetError, RuleViolation
from graphad.ir.frozen import replace
from graphad.ir.op import OPS, Op
from graphad.ir.samples import Sample
from graphad.ir.types import type_of

Array = np.ndarray[Any, Any]

SMALL = 24 * 1024
"""Bytes that nobody counts: NumPy's buffers of casts, shapes, Python's own objects."""
ELEMENTS = 60_000
"""Elements of all operands together, at most."""

ops.load_all()
CASES = [
    pytest.param(cls, cls.samples[k], id=f"{name}-{k}")
    for name, cls in sorted(OPS.items())
    if cls.__module__.startswith("graphad.") and not cls.view
    for k in range(len(cls.samples))
]


def enlarged(cls: type[Op], sample: Sample) -> tuple[Op, list[Array], tuple[Array, ...]]:
    """Return the op, operands larger than the sample's, if its attributes allow, and room for its results."""
    op = cls(**sample.attributes)
    for scale in (40, 16, 8, 4, 1):
        shapes = [tuple(n * scale if n > 1 else n for n in operand.shape) for operand in sample.operands]
        if sum(int(np.prod(shape)) for shape in shapes) > ELEMENTS:
            continue
        rng = np.random.default_rng(0)
        try:
            arrays = [replace(o, shape=s).draw(rng) for o, s in zip(sample.operands, shapes, strict=True)]
            types = op.infer(*[type_of(a) for a in arrays])
        except (GraphadError, RuleViolation, ValueError):
            continue
        found = types if isinstance(types, tuple) else (types,)
        return op, arrays, tuple([np.empty(t.shape, t.dtype) for t in found])  # type: ignore[arg-type]  # static
    raise AssertionError(f"{op.name} does not take the operands of its own sample")


def measured(op: Op, out: tuple[Array, ...], arrays: list[Array]) -> int:
    """Return the most bytes that Python and NumPy hold more than before while an op runs."""
    with np.errstate(all="ignore"):
        op.evaluate_into(out, *arrays)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            op.evaluate_into(out, *arrays)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(("cls", "sample"), CASES)
def test_no_op_takes_more_than_it_says(cls: type[Op], sample: Sample) -> None:
    op, arrays, out = enlarged(cls, sample)
    said = op.temporaries(tuple(map(type_of, arrays)), tuple(map(type_of, out)))
    assert measured(op, out, arrays) <= said + SMALL


def test_functions_with_many_temporaries_go_block_by_block() -> None:
    x = np.random.default_rng(0).uniform(-2, 2, (300, 1000))
    op = OPS["erf"]()
    out = np.empty_like(x)
    assert measured(op, (out,), [x]) < 2**20 + SMALL
    np.testing.assert_array_equal(out, op.evaluate(x))


def test_temporaries_are_part_of_a_budget() -> None:
    """A sort of a million numbers on the reference executor: its room counts, in the report and in the budget."""
    x = np.random.default_rng(0).random(100_000)
    free = ga.compile(lambda x: np.sum(np.sort(np.sin(x))), x, executor="reference")
    free(x)
    assert free.memory.scratch >= x.nbytes
    assert f"{free.memory.scratch:,} bytes at most, of sort" in free.report()
    assert free.memory.peak == free.memory.arena + free.memory.results + free.memory.scratch
    curve = ga.remat_curve(lambda x: np.sum(np.sort(np.sin(x))), x, executor="reference")
    assert max(point.peak or 0 for point in curve) == free.memory.peak
    with pytest.raises(MemoryBudgetError, match="of workspace"):
        ga.compile(
            lambda x: np.sum(np.sort(np.sin(x))), x, executor="reference", memory=free.memory.peak - x.nbytes // 2
        )
