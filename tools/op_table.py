"""Write docs/ops.md: every op and which rules it has. `python tools/op_table.py` after adding or changing an op.

`rows` is also what the op table's test for undeclared holes reads.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import graphad
from graphad.ir.emit import apply_all
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node
from graphad.ir.op import OPS, Bilinear, Elementwise, General, Linear, Op
from graphad.ir.samples import Sample
from graphad.ir.types import TensorType
from graphad.tracing.trace import make_input

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "ops.md"
ROOMS_WITH_OPS = ("ir", "ops", "autodiff", "passes")

HEAD = """# Ops

Every primitive op: what it means, and which rules it has. Written by `python tools/op_table.py`; a test keeps it true.

- **VJP**, **JVP**: `own` (a rule of its own), `family` (follows from its partials or its transpose), `double VJP` (the
  JVP is the transpose of the VJP), or why no gradient flows.
- **Batch**: `own`, `family`, or `unrolled` (one application an element of the batch).
- **Memory**: `view` (shares its operand's memory), `in place` (may overwrite an operand), `no temporaries`.
- **Native**: what the native executor does with the op's samples: `kernel` (a loop nest, which fuses with its
  neighbours, or a kernel of its own), `product` (BLAS or a generated product), `copies`, `view` (nothing), `host` (the
  reference rule between native steps); several words where it depends on attributes or dtypes. Samples of complex
  numbers, of half precision and without elements do not count where there are others: they are host steps
  ([native.md](native.md)).

"""


@dataclass(frozen=True)
class Row:
    """One op of the table."""

    op: type[Op]
    meaning: str
    family: str
    vjp: str
    jvp: str
    batch: str
    memory: str
    samples: int


def load_ops() -> list[type[Op]]:
    """Import every module that defines ops and return graphad's op classes by name."""
    for room in ROOMS_WITH_OPS:
        package = importlib.import_module(f"graphad.{room}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"graphad.{room}.{module.name}")
    importlib.import_module("graphad.eager")
    return sorted((c for c in OPS.values() if c.__module__.startswith("graphad.")), key=lambda c: c.name)


def rows() -> Iterator[Row]:
    """Yield a row for each op."""
    for cls in load_ops():
        family = next((f for f in (Elementwise, Linear, Bilinear, General) if issubclass(cls, f)), Op)
        promises = (("view", cls.view), ("in place", cls.in_place), ("no temporaries", not cls.allocates))
        yield Row(
            cls,
            first_line(cls),
            "-" if family is Op else family.__name__,
            *derivative_rules(cls),
            batch_rule(cls),
            ", ".join(word for word, kept in promises if kept),
            len(cls.samples),
        )


def derivative_rules(cls: type[Op]) -> tuple[str, str]:
    """Return how VJP and JVP of an op come about; "missing" where they do not."""
    if cls.no_gradient:
        return (f"none: {cls.no_gradient}",) * 2
    base = {Elementwise: "partials", Linear: "transpose"}
    from_family = any(
        issubclass(cls, family) and getattr(cls, rule) is not getattr(family, rule) for family, rule in base.items()
    )
    own_vjp, own_jvp = _is_own(cls, "vjp"), _is_own(cls, "jvp")
    vjp = "own" if own_vjp else "family" if from_family else "missing"
    if own_jvp:
        return vjp, "own"
    if from_family or issubclass(cls, (Linear, Bilinear)):
        return vjp, "family"
    return vjp, "double VJP" if vjp != "missing" else "missing"


def batch_rule(cls: type[Op]) -> str:
    """Return how batching of an op comes about."""
    if _is_own(cls, "batch"):
        return "own"
    return "family" if cls.has_rule("batch") else "unrolled"


def _is_own(cls: type[Op], rule: str) -> bool:
    """Tell whether a rule comes from below the family classes."""
    defining = next(c for c in cls.__mro__ if rule in vars(c))
    return defining not in (Op, Elementwise, Linear, Bilinear, General)


def native_use(cls: type[Op]) -> str:
    """Return what native code does with the samples of an op: asked of the native graph, step by step."""
    from graphad.execute.native.kinds import native_dtype

    real = [s for s in cls.samples if all(native_dtype(np.dtype(o.dtype)) and 0 not in o.shape for o in s.operands)]
    found = {word for sample in real or cls.samples for word in _sample_uses(cls, sample)}
    return ", ".join(word for word in ("kernel", "product", "copies", "host") if word in found) or (
        "view" if cls.view else "-"
    )


def _sample_uses(cls: type[Op], sample: Sample) -> Iterator[str]:
    """Yield a word for each step that a sample becomes."""
    from graphad.execute.native.preparing import prepared

    types = [TensorType(np.dtype(o.dtype), o.shape) for o in sample.operands]
    inputs = [make_input(f"x{k}", type_) for k, type_ in enumerate(types)]
    results = tuple(apply_all(cls(**sample.attributes), *inputs))
    values = tuple(t.value for t in inputs), tuple(t.value for t in results)
    names = tuple(f"x{k}" for k in range(len(inputs))), tuple(f"out{k}" for k in range(len(results)))
    graph = prepared(Graph("sample", *values, *names, *flat_containers(len(inputs), len(results))))
    return (word for node in graph.nodes if (word := _node_use(node)))


def _node_use(node: Node) -> str:
    """Return what a node of a native graph is; "" where it is no step."""
    from graphad.execute.native import image_lowering, lowering  # noqa: F401  # image_lowering enters its lowerings
    from graphad.execute.native.accumulation import Accumulate
    from graphad.execute.native.addresses import Guard
    from graphad.execute.native.code import Module
    from graphad.execute.native.late import enter_lowering
    from graphad.ops.product import Matmul

    # The guard of positions given at run time belongs to no op of a user's.
    if isinstance(node.op, (Input, Constant, Guard)) or node.op.view:
        return ""
    arrays = [[np.empty(t.shape, t.dtype) for t in types] for types in (node.input_types, node.types)]
    enter_lowering(node.op)
    if lowering.lowered(Module(), node, *arrays) is not None:
        return "product" if isinstance(node.op, (Matmul, Accumulate)) else "kernel"
    return "host" if lowering.moves(node) is None else "copies"


def first_line(cls: type[Op]) -> str:
    """Return the first sentence of an op's documentation."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def document() -> str:
    """Return the text of docs/ops.md."""
    lines = ["| op | meaning | family | VJP | JVP | batch | memory | native |", "| --- " * 8 + "|"]
    for row in rows():
        derivatives = row.vjp, row.jvp, row.batch, row.memory
        cells = (f"`{row.op.name}`", row.meaning, row.family, *derivatives, native_use(row.op))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"{DOCUMENT}: {sum(1 for _ in rows())} ops (graphad {graphad.__version__})")


if __name__ == "__main__":
    main()
