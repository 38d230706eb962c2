"""The lines of the benchmark table, from what was measured, and the page they make."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import Outcome, Taken
from rows import ROWS, Row


@dataclass(frozen=True)
class Line:
    """One row, measured.

    Attributes:
        ours: seconds; none where our side failed.
        best, best_seconds: the fastest competitor, measured or quoted, and its seconds.
        quoted: whether it was quoted.
        ratio, low, high: ours to the best: the median of the rounds, the least and the largest.
        rest: every other side's seconds, by library.
        bar: the ratio to reach.
        passed: whether all bars of the row are reached and the checksums agree.
        disagree: the libraries whose checksum differs from ours by more than the row allows.
        failed: the libraries that did not run.
        others: the share of the cores that others used meanwhile.
    """

    name: str
    title: str
    kind: str
    ours: float | None
    best: str
    best_seconds: float
    quoted: bool
    ratio: float
    low: float
    high: float
    rest: Mapping[str, float]
    bar: float
    passed: bool
    disagree: Sequence[str]
    failed: Sequence[str]
    others: float

    def as_json(self) -> dict[str, Any]:
        """Return plain containers."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Line:
        """Return the line that `as_json` wrote."""
        return cls(**values)

    def text(self) -> str:
        """Return the line for a terminal."""
        ours = "failed" if self.ours is None else shown(self.ours)
        verdict = "pass" if self.passed else "FAIL"
        wrong = f", disagree: {', '.join(self.disagree)}" if self.disagree else ""
        return (
            f"{self.name:18s} ours {ours}, {self.best} {shown(self.best_seconds)}{' (quoted)' * self.quoted}, "
            f"ratio {self.ratio:.2f} ({self.low:.2f} .. {self.high:.2f}), bar {self.bar:.2f}: {verdict}{wrong}; "
            f"others used {self.others:.0%}"
        )


def line_of(row: Row, outcome: Outcome) -> Line:
    """Compare what a row's sides took."""
    ours = outcome.taken.get("graphad")
    peers = {k: t for k, t in outcome.taken.items() if k != "graphad" and k not in row.limits}
    candidates = {**row.quoted, **{k: t.median for k, t in peers.items()}}
    best = min(candidates, key=lambda k: candidates[k]) if candidates else "-"
    seconds = candidates.get(best, float("nan"))
    ratios = _ratios(ours, peers.get(best), seconds)
    # `products` computes nothing that could be compared.
    compared = {k: t for k, t in outcome.taken.items() if ours is not None and k != "products"}
    disagree = [k for k, t in compared.items() if not _agree(ours, t, row.tolerance)]
    reached = [statistics.median(ratios) <= row.bar]
    reached += [
        statistics.median(_ratios(ours, peers[k], peers[k].median)) <= b for k, b in row.bars.items() if k in peers
    ]
    rest = {k: t.median for k, t in outcome.taken.items() if k not in ("graphad", best)}
    rest |= {f"{k} (quoted)": v for k, v in row.quoted.items() if k != best and k not in peers}
    shares = [t.others for t in outcome.taken.values()]
    return Line(
        row.name,
        row.title,
        row.kind.value,
        None if ours is None else ours.median,
        best,
        seconds,
        best in row.quoted and best not in peers,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        rest,
        row.bar,
        ours is not None and all(reached) and not disagree,
        disagree,
        sorted(outcome.failed),
        statistics.mean(shares) if shares else float("nan"),
    )


def _agree(ours: Taken | None, other: Taken, tolerance: float) -> bool:
    return ours is not None and ours.checksum.distance(other.checksum) <= tolerance


def _ratios(ours: Taken | None, peer: Taken | None, seconds: float) -> list[float]:
    """Return ours to a peer's, round by round; to `seconds` where the peer is quoted."""
    if ours is None:
        return [float("nan")]
    theirs = peer.seconds if peer is not None else (seconds,) * len(ours.seconds)
    return [a / b for a, b in zip(ours.seconds, theirs, strict=True)]


def shown(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def machine() -> dict[str, str]:
    """Return what the numbers hold for: processor, versions, the day."""
    versions = []
    for name in ("numpy", "jax", "torch", "pytensor", "casadi", "autograd", "numba", "llvmlite"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(versions),
        "day": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    """Return the processor's name, with family and model, which tell virtual ones apart."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    found = dict(line.split("\t: ", 1) for line in text.replace("\t\t", "\t").splitlines() if "\t: " in line)
    return (
        f"{found.get('model name', platform.machine())} (family {found.get('cpu family')}, model {found.get('model')})"
    )


def markdown(lines: Sequence[Line], environment: Mapping[str, str]) -> str:
    """Return the page."""
    behind = [line for line in lines if not line.passed]
    text = [
        "# Benchmarks",
        "",
        "Made by `tools/bench/native.py`; the code of every side stands in `tools/bench/workloads/`. Each side runs in",
        "fresh processes, and the sides take turns. Numbers are medians; the ratio is ours to the best peer's, round",
        "by round: the median, and in brackets the least and the largest. Quoted numbers are issue 4's. Limits, which",
        "do not compete, are in italics. Checksums (the value, and the norm of the derivatives) agree within 1e-3 in",
        "float32 and 1e-9 in float64 unless the row says otherwise. `busy` is the share of the cores that others used.",
        "",
        f"{environment['processor']}; {environment['system']}; {environment['day']}.",
        f"{environment['versions']}.",
        "",
        "| workload | what | graphad | best peer | ratio | bar | | others | busy |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(line) for line in lines),
        "",
    ]
    if behind:
        limits = {row.name: row.limit for row in ROWS}
        text += ["Behind the bar, and why:", ""]
        text += [f"- {line.name}: {limits.get(line.name) or 'not looked into'}." for line in behind]
        text += [""]
    return "\n".join(text)


LIMITS = ("limit", "products", "by_hand")


def _row(line: Line) -> str:
    rest = ", ".join(
        f"*{k.replace('_', ' ')} {shown(v)}*" if k in LIMITS else f"{k.replace('_', '.')} {shown(v)}"
        for k, v in sorted(line.rest.items(), key=lambda pair: pair[1])
    )
    wrong = f" (checksums differ: {', '.join(line.disagree)})" if line.disagree else ""
    wrong += f" (failed: {', '.join(line.failed)})" if line.failed else ""
    ours = "failed" if line.ours is None else shown(line.ours)
    best = f"{line.best.replace('_', '.')} {shown(line.best_seconds)}{' (quoted)' * line.quoted}"
    return (
        f"| {line.title} | {line.kind} | {ours} | {best} | {line.ratio:.2f} ({line.low:.2f} .. {line.high:.2f}) | "
        f"{line.bar:.2f} | {'pass' if line.passed else '**behind**'}{wrong} | {rest} | {line.others:.0%} |"
    )
