"""Tables of `memory.py`: as aligned text, and as the page docs/memory_benchmarks.md.

What may enter: rows of text under columns; measuring is `memory.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table: its heading, what it shows (one paragraph), its columns and rows, and lines below it."""

    heading: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()

    def __str__(self) -> str:
        grid = (self.columns, *self.rows)
        widths = [max(len(row[k]) for row in grid) for k in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(n) if k == 0 else cell.rjust(n) for k, (cell, n) in enumerate(zip(row, widths, strict=True))
            )
            for row in grid
        ]
        return "\n".join([self.heading, *(line.rstrip() for line in lines), *self.below, ""])

    def markdown(self) -> str:
        """Return the table as a section of the page."""
        rows = "\n".join(f"| {' | '.join(row)} |" for row in self.rows)
        head = f"| {' | '.join(self.columns)} |\n|{'---|' * len(self.columns)}"
        below = "".join(f"\n\n{line}" for line in self.below)
        return f"## {self.heading}\n\n{self.about}\n\n{head}\n{rows}{below}"

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain lists and text."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Table:
        """Return the table that `to_json` wrote."""
        rows = tuple(tuple(row) for row in kept["rows"])
        return cls(kept["heading"], kept["about"], tuple(kept["columns"]), rows, tuple(kept["below"]))


def page(tables: Sequence[Table], environment: Mapping[str, str]) -> str:
    """Return the page: what made it and where, then the tables."""
    text = [
        "# Memory benchmarks",
        "Made by `tools/bench/memory.py --write`; what each row runs stands there, in `memory_process.py` and in\n"
        "`tools/bench/workloads/`. MB are 1,000,000 bytes.",
        f"{environment['processor']}; {environment['system']}; {environment['day']}.\n{environment['versions']}.",
        *(table.markdown() for table in tables),
    ]
    return "\n\n".join(text) + "\n"
