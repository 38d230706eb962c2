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

import graphad
from graphad.ir.op import OPS, Bilinear, Elementwise, General, Linear, Op

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "ops.md"
ROOMS_WITH_OPS = ("ir", "ops", "autodiff", "passes")

HEAD = """# Ops

Every primitive op: what it means, and which rules it has. Written by `python tools/op_table.py`; a test keeps it true.

- **VJP**, **JVP**: `own` (a rule of its own), `family` (follows from its partials or its transpose), `double VJP` (the
  JVP is the transpose of the VJP), or why no gradient flows.
- **Batch**: `own`, `family`, or `unrolled` (one application an element of the batch).
- **Memory**: `view` (shares its operand's memory), `in place` (may overwrite an operand), `no temporaries`.

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


def first_line(cls: type[Op]) -> str:
    """Return the first sentence of an op's documentation."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def document() -> str:
    """Return the text of docs/ops.md."""
    lines = ["| op | meaning | family | VJP | JVP | batch | memory |", "| --- " * 7 + "|"]
    for row in rows():
        cells = (f"`{row.op.name}`", row.meaning, row.family, row.vjp, row.jvp, row.batch, row.memory)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"{DOCUMENT}: {sum(1 for _ in rows())} ops (graphad {graphad.__version__})")


if __name__ == "__main__":
    main()
