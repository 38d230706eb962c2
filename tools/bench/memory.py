"""Memory: how close the planner comes to its bounds.

python tools/bench/memory.py --minimalloc [SECONDS]   the instances of MiniMalloc, against their capacity
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from graphad.plan.arena import place_intervals  # noqa: E402
from graphad.plan.lifetimes import live_bytes  # noqa: E402

MINIMALLOC = ROOT.parent / "shared" / "data" / "minimalloc"
CAPACITY = 1_048_576


def minimalloc(seconds: float) -> None:
    """Print instance, buffers, lower bound, arena, its ratio to the capacity, and seconds."""
    print(f"{'instance':22s} {'buffers':>8s} {'bound':>10s} {'arena':>10s} {'/ capacity':>10s} {'seconds':>8s}")
    ratios = []
    for path in sorted(MINIMALLOC.glob(f"*.{CAPACITY}.csv")):
        with path.open() as file:
            rows = sorted((int(r["lower"]), int(r["upper"]) - 1, int(r["size"])) for r in csv.DictReader(file))
        starts, ends, sizes = (list(column) for column in zip(*rows, strict=True))
        bound = int(live_bytes(starts, ends, sizes, max(ends) + 1).max())
        begin = time.perf_counter()
        _, top = place_intervals(starts, ends, sizes, bound, seconds, effort=1 << 60)
        spent = time.perf_counter() - begin
        ratios.append(top / CAPACITY)
        print(f"{path.stem:22s} {len(sizes):8d} {bound:10d} {top:10d} {ratios[-1]:10.4f} {spent:8.2f}")
    print(f"mean {sum(ratios) / len(ratios):.4f}, max {max(ratios):.4f} of the capacity")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimalloc", type=float, nargs="?", const=1.9, metavar="SECONDS")
    arguments = parser.parse_args()
    if arguments.minimalloc is not None:
        minimalloc(arguments.minimalloc)


if __name__ == "__main__":
    main()
