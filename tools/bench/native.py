"""The benchmark table of native code: graphad beside its peers, row by row, with the bar of each row.

    python tools/bench/native.py                        all rows, as a markdown table (some minutes)
    python tools/bench/native.py --only mlp,rosen10     these rows; --list names them
    python tools/bench/native.py --against jax          these peers instead of a row's own
    python tools/bench/native.py --ours --only mlp      graphad's side alone
    python tools/bench/native.py --write                docs/benchmarks.md too (with --only: renews these rows)

Run it with the Python of an environment of its own, where the peers and graphad are installed: `pip install
torch==2.13.0`, then `jax pytensor autograd casadi scipy threadpoolctl`, then `numba llvmlite` at their newest (pip
complains of PyTensor's pin, which works all the same), then `-e .`.

Each side runs in fresh processes and is asked for turns: one of ours, one of each peer's, again and again, so that
what disturbs the machine disturbs all. A number is the median over a side's turns of a turn's median; the ratio is the
median over the rounds of ours to the peer's. Quoted numbers, where a peer is not run, come from the project's issue 4,
measured on the same kind of machine.

On a busy machine `--cores 1` binds every side to one core, and to one thread: no measure of the table, but a steadier
one of the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measuring import ROOT, Outcome, confine, processes, readiness, steps
from rows import ROWS, Kind, Row
from table import Line, line_of, machine, markdown

RESULTS = Path(__file__).resolve().parent / "native.json"
PAGE = ROOT / "docs" / "benchmarks.md"


def measured(row: Row, libraries: list[str], rounds: int, seconds: float) -> Outcome:
    """Measure a row in the way its kind asks for."""
    if row.kind is Kind.STEP:
        return steps(row.module, row.arguments, libraries, rounds, seconds)
    if row.kind is Kind.READY:
        return readiness(row.module, row.arguments, libraries, rounds)
    from workloads.cold import PROGRAMS

    return processes(PROGRAMS, libraries, rounds)


def print_ours(row: Row, rounds: int, seconds: float) -> None:
    """Print what graphad's side takes, alone."""
    outcome = measured(row, ["graphad"], rounds, seconds)
    for message in outcome.failed.values():
        print(f"{row.name}: {message}")
    for taken in outcome.taken.values():
        spread = f"{min(taken.seconds) * 1e6:.4g} .. {max(taken.seconds) * 1e6:.4g}"
        print(
            f"{row.name:16s} {taken.median * 1e6:12.4g} us ({spread}); ready after {taken.ready:.3f} s; "
            f"others used {taken.others:.0%}",
            flush=True,
        )


def written(lines: list[Line], environment: dict[str, str]) -> None:
    """Renew these lines among the results kept, and write the page from all of them."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept.update({line.name: line.as_json() for line in lines})
    ordered = {row.name: kept[row.name] for row in ROWS if row.name in kept}
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(markdown([Line.from_json(each) for each in ordered.values()], environment), encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The benchmark table of native code.")
    parser.add_argument("--only", help="names of rows, with commas")
    parser.add_argument("--against", help="peers, with commas, instead of each row's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a turn")
    parser.add_argument("--cores", type=int, help="bind every side to so many cores")
    parser.add_argument("--ours", action="store_true", help="graphad's side alone")
    parser.add_argument("--slow", action="store_true", help="peers that take a minute to build too")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--list", action="store_true", help="name the rows")
    options = parser.parse_args()
    known = {row.name: row for row in ROWS}
    chosen = options.only.split(",") if options.only else list(known)
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"no row is named {', '.join(unknown)}; there are {', '.join(known)}")
    if options.list:
        for row in ROWS:
            print(f"{row.name:18s} {row.title} (peers: {', '.join(row.peers)})")
        return
    if options.cores:
        confine(options.cores)
    lines = []
    for name in chosen:
        row = known[name]
        if missing := row.missing():
            print(f"{name}: left out, {missing} is not there", file=sys.stderr)
            continue
        if options.ours:
            print_ours(row, options.rounds, options.seconds)
            continue
        peers = options.against.split(",") if options.against else [*row.peers, *(row.slow if options.slow else ())]
        outcome = measured(row, ["graphad", *peers, *row.limits], min(options.rounds, row.rounds), options.seconds)
        for message in outcome.failed.values():
            print(f"{name}: {message}", file=sys.stderr)
        lines.append(line_of(row, outcome))
        print(lines[-1].text(), flush=True)
    if lines:
        environment = machine()
        print("\n" + markdown(lines, environment))
        if options.write:
            written(lines, environment)


if __name__ == "__main__":
    main()
