"""Memory: how close the planner comes to its bounds.

python tools/bench/memory.py --minimalloc [SECONDS]   the instances of MiniMalloc, against their capacity
python tools/bench/memory.py --orders                 training graphs: program order, the order found, its bound
python tools/bench/memory.py --chain                  recomputation in a chain of 64 layers, against issue 5's figures
python tools/bench/memory.py --budgets                a transformer of 8 blocks at shares of its peak
python tools/bench/memory.py --process                rise of a process's peak memory in a warm gradient call: a chain
                                                      of 36 layers beside JAX and torch, a transformer, a CNN
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "plan")]

from training_graphs import chain, cnn, mlp, transformer  # noqa: E402

from graphad.plan.arena import place_intervals  # noqa: E402
from graphad.plan.lifetimes import lifetimes, live_bytes  # noqa: E402
from graphad.plan.plan import plan  # noqa: E402
from graphad.plan.policies import Items, Play, cheapest  # noqa: E402
from graphad.plan.remat import remat_curve  # noqa: E402
from graphad.plan.schedule import Schedule, program_order, schedule  # noqa: E402

MINIMALLOC = ROOT.parent / "shared" / "data" / "minimalloc"
CAPACITY = 1_048_576
REFERENCE = {32: 97, 16: 113, 12: 117, 8: 157, 6: 201}
"""Forward steps of a chain of 64 layers within so many slots, optimal under an accounting of slots that is not ours to
the letter: a step back that reads one value needs a slot less than there, one that reads two about as many.
"""


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


def orders() -> None:
    """Print steps, live peaks of program order and of the order found, the proven bound, and seconds."""
    graphs = {
        "chain of 36": chain(36),
        "mlp": mlp(),
        "cnn": cnn(),
        **{f"transformer, {n} blocks": transformer(n) for n in (1, 2, 3, 4, 8)},
    }
    print(f"{'graph':24s} {'steps':>6s} {'program':>12s} {'found':>12s} {'/ bound':>8s} {'proven':>7s} {'seconds':>8s}")
    for name, graph in graphs.items():
        begin = time.perf_counter()
        found = schedule(graph)
        spent = time.perf_counter() - begin
        live = [
            max(
                live_bytes(
                    [f.starts[b] for b in f.arena_buffers],
                    [f.ends[b] for b in f.arena_buffers],
                    [f.sizes[b] for b in f.arena_buffers],
                    len(f.steps),
                ).tolist()
            )
            for f in (lifetimes(Schedule(graph, nodes)) for nodes in (program_order(graph), found.nodes))
        ]
        assert found.peak is not None and found.bound is not None
        print(
            f"{name:24s} {len(found.nodes):6d} {live[0]:12d} {live[1]:12d} {found.peak / found.bound:8.4f} "
            f"{'yes' if found.optimal else 'no':>7s} {spent:8.2f}"
        )


def chain_items(reads: int, layers: int = 64) -> Items:
    """Return a chain: every value takes a slot; a step back overwrites the last and reads `reads` values (1 or 2)."""
    operands: list[tuple[int, ...]] = [(k - 1,) if k else () for k in range(layers)]
    for k in reversed(range(layers)):
        after = (len(operands) - 1,) if len(operands) > layers else ()
        operands.append((*after, *((k,) if reads == 2 else ()), *((k - 1,) if k else ())))
    count = len(operands)
    taken: list[tuple[int, ...]] = [(k - 1,) if k > layers else () for k in range(count)]
    return Items(operands, [1] * count, [1.0] * layers + [0.0] * layers, [k == count - 1 for k in range(count)], taken)


def chains() -> None:
    """Print slots, forward steps, the reference and the ratio, for steps back that read one value and two."""
    print(f"{'reads':>5s} {'slots':>5s} {'steps':>6s} {'reference':>9s} {'ratio':>6s}  policy")
    for reads in (1, 2):
        items = chain_items(reads)
        for slots, reference in REFERENCE.items():
            found = cheapest(items, slots)
            assert isinstance(found, Play)
            steps = 64 + round(found.extra)
            print(f"{reads:5d} {slots:5d} {steps:6d} {reference:9d} {steps / reference:6.3f}  {found.policy}")


def budgets() -> None:
    """Print budget, planned peak, extra operations and seconds of planning for a transformer of 8 blocks."""
    graph = transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000)
    peak = plan(graph).peak_bytes
    shares = (1.0, 0.75, 0.5, 0.4, 0.3, 0.25, 0.2)
    begin = time.perf_counter()
    points = remat_curve(graph, [int(peak * share) for share in shares])
    spent = time.perf_counter() - begin
    print(f"transformer of 8 blocks, d 256, seq 128, batch 8: {peak / 1e6:.1f} MB; the curve took {spent:.1f} s")
    print(f"{'budget':>8s} {'peak MB':>8s} {'FLOPs':>8s} {'nodes':>6s}")
    for share, point in zip(shares, points, strict=True):
        if point.peak is None:
            print(f"{share:8.0%} none fits")
            continue
        more = point.extra_flops / (point.flops - point.extra_flops)
        print(f"{share:8.0%} {point.peak / 1e6:8.1f} {more:+8.2%} {point.recomputed:6d}")


PEERS = os.environ.get("GRAPHAD_PEERS", "/work/peers/bin/python")
"""Python of the environment that has JAX and torch."""


def process() -> None:
    """Print system, budget, planned peak, rise of the process and milliseconds, each measured in its own process."""
    rows: list[tuple[str, str, str | None]] = [
        *[("graphad", "chain", budget) for budget in (None, "400MB", "250MB", "140MB", "100MB")],
        *[(peer, "chain", None) for peer in ("jax", "jax-checkpoint", "torch")],
        *[("graphad", name, budget) for name in ("transformer", "cnn") for budget in (None, "60%", "40%")],
    ]
    print(f"{'graph':12s} {'system':15s} {'budget':>8s} {'planned MB':>10s} {'rise MB':>8s} {'ms':>8s}")
    for system, name, budget in rows:
        python = sys.executable if system == "graphad" else PEERS
        command = [python, str(Path(__file__).with_name("memory_process.py")), system, name, *([budget] * bool(budget))]
        done = subprocess.run(command, capture_output=True, text=True)
        head = f"{name:12s} {system:15s} {budget or '-':>8s}"
        if done.returncode:
            print(f"{head}  {done.stderr.strip().splitlines()[-1] if 'Budget' not in done.stderr else 'none fits'}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        planned = f"{found['planned'] / 1e6:.1f}" if "planned" in found else "-"
        print(f"{head} {planned:>10s} {found['rise'] / 1e6:8.1f} {found['seconds'] * 1e3:8.1f}", flush=True)


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimalloc", type=float, nargs="?", const=1.9, metavar="SECONDS")
    tables = {"orders": orders, "chain": chains, "budgets": budgets, "process": process}
    for name, table in tables.items():
        parser.add_argument(f"--{name}", action="store_const", const=table)
    arguments = parser.parse_args()
    if arguments.minimalloc is not None:
        minimalloc(arguments.minimalloc)
    for name in tables:
        if table := getattr(arguments, name):
            table()


if __name__ == "__main__":
    main()
