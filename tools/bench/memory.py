"""Memory: how close the planner comes to its bounds, and what a process takes beside JAX and torch.

    python tools/bench/memory.py --process                rise of a process's peak memory in one warm call
    python tools/bench/memory.py --minimalloc [SECONDS]   the instances of MiniMalloc, against their capacity
    python tools/bench/memory.py --orders                 training graphs: program order, the order found, its bound
    python tools/bench/memory.py --chain                  recomputation in a chain of 64 layers
    python tools/bench/memory.py --budgets                a transformer of 8 blocks at shares of its peak
    python tools/bench/memory.py --native                 the same as machine code runs it, with a bound of any plan
    python tools/bench/memory.py --write                  all of them (or those named), and docs/memory_benchmarks.md

GRAPHAD_PEERS is the Python that has JAX and torch.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "plan")]

from memory_tables import Table, page  # noqa: E402
from recomputation_bounds import divided_chain, least_again  # noqa: E402
from table import machine  # noqa: E402
from training_graphs import chain, cnn, mlp, transformer  # noqa: E402

from graphad.execute.native.opening import open_all  # noqa: E402
from graphad.execute.native.preparing import prepared  # noqa: E402
from graphad.ir.graph import Graph  # noqa: E402
from graphad.plan.arena import place_intervals  # noqa: E402
from graphad.plan.buffers import live_bytes  # noqa: E402
from graphad.plan.items import Items  # noqa: E402
from graphad.plan.lifetimes import lifetimes  # noqa: E402
from graphad.plan.plan import plan  # noqa: E402
from graphad.plan.policies import Play, cheapest  # noqa: E402
from graphad.plan.remat import remat_curve  # noqa: E402
from graphad.plan.schedule import Schedule, program_order, schedule  # noqa: E402

RESULTS = Path(__file__).with_name("memory.json")
PAGE = ROOT / "docs" / "memory_benchmarks.md"
MINIMALLOC = ROOT.parent / "shared" / "data" / "minimalloc"
CAPACITY = 1_048_576
REFERENCE = {32: 97, 16: 113, 12: 117, 8: 157, 6: 201}
"""Forward steps of a chain of 64 layers within so many slots, optimal under an accounting of slots that is not ours to
the letter: a step back that reads one value needs a slot less than there, one that reads two as many, unless there are
few.
"""
SHARES = (1.0, 0.75, 0.5, 0.4, 0.3, 0.25, 0.2)
"""Of the peak without a budget: the budgets of a transformer."""


def minimalloc(seconds: float = 1.9) -> Table:
    """Place the instances of MiniMalloc within so many seconds each."""
    rows, ratios = [], []
    for path in sorted(MINIMALLOC.glob(f"*.{CAPACITY}.csv")):
        with path.open() as file:
            read = sorted((int(r["lower"]), int(r["upper"]) - 1, int(r["size"])) for r in csv.DictReader(file))
        starts, ends, sizes = (list(column) for column in zip(*read, strict=True))
        bound = int(live_bytes(starts, ends, sizes, max(ends) + 1).max())
        begin = time.perf_counter()
        _, top = place_intervals(starts, ends, sizes, bound, seconds, effort=1 << 60)
        spent = time.perf_counter() - begin
        ratios.append(top / CAPACITY)
        rows.append((path.stem, f"{len(sizes)}", f"{bound:,}", f"{top:,}", f"{ratios[-1]:.4f}", f"{spent:.2f}"))
    return Table(
        "Placement: MiniMalloc's instances",
        f"Offsets found within {seconds:g} s each, against the capacity of {CAPACITY:,} that MiniMalloc is given.",
        ("instance", "buffers", "lower bound", "arena", "/ capacity", "seconds"),
        tuple(rows),
        (f"Mean {sum(ratios) / len(ratios):.4f}, largest {max(ratios):.4f} of the capacity.",) if ratios else (),
    )


def orders() -> Table:
    """Order training graphs: live peaks of program order and of the order found, and the proven bound."""
    graphs = {
        "chain of 36": chain(36),
        "mlp": mlp(),
        "cnn": cnn(),
        **{f"transformer, {n} blocks": transformer(n) for n in (1, 2, 3, 4, 8)},
    }
    rows = []
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
        rows.append(
            (
                name,
                f"{len(found.nodes)}",
                f"{live[0]:,}",
                f"{live[1]:,}",
                f"{found.peak / found.bound:.4f}",
                "yes" if found.optimal else "no",
                f"{spent:.2f}",
            )
        )
    return Table(
        "Order: the schedule of training graphs",
        "Most bytes live at once in program order and in the order found, and that against the bound that no order is\n"
        "below.",
        ("graph", "steps", "program order", "order found", "/ bound", "proven best", "seconds"),
        tuple(rows),
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


def chains() -> Table:
    """Recompute a chain of 64 layers within so many slots, for steps back that read one value and two."""
    rows = []
    for reads in (1, 2):
        items = chain_items(reads)
        for slots, reference in REFERENCE.items():
            found = cheapest(items, slots)
            assert isinstance(found, Play)
            steps, best = 64 + round(found.extra), divided_chain(64, slots, reads)
            row = (reads, slots, steps, best, f"{steps / best:.3f}", reference, f"{steps / reference:.3f}")
            rows.append((*map(str, row), found.policy))
    return Table(
        "Recomputation: a chain of 64 layers",
        "Forward steps within so many slots, for steps back that read one value and two, against the best division of\n"
        "the chain in these slots (`divided_chain` in tests/plan/recomputation_bounds.py), and the optimal counts of\n"
        "issue 5.",
        ("reads", "slots", "forward steps", "divided best", "ratio", "issue 5", "ratio", "policy"),
        tuple(rows),
    )


def budgets() -> Table:
    """Plan a transformer of 8 blocks at shares of its peak, as the reference executor runs it."""
    graph = wide_transformer()
    return _budgets(
        graph, graph, "Recomputation: a transformer of 8 blocks", "Value and gradient, width 256, length 128, batch 8"
    )


def native_budgets() -> Table:
    """Plan the same as machine code runs it."""
    graph = wide_transformer()
    return _budgets(
        prepared(graph),
        open_all(graph),
        "Recomputation: the same as machine code runs it",
        "A group of ops is one step",
    )


def wide_transformer() -> Graph:
    """Return value and gradient of the transformer whose budgets are looked at."""
    return transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000)


def _budgets(graph: Graph, opened: Graph, title: str, about: str) -> Table:
    """Plan a graph at shares of its peak; `opened` is the same without groups, for the bound."""
    free = plan(graph)
    peak = free.peak_bytes
    begin = time.process_time()
    points = remat_curve(graph, [int(peak * share) for share in SHARES])
    spent = time.process_time() - begin
    first_back = next(node for node in opened.nodes if node.op.name == "matmul" and node.role == "backward")
    rows = []
    for share, point in zip(SHARES, points, strict=True):
        once = point.flops - point.extra_flops
        least = least_again(opened, int(peak * share) - free.result_bytes, [first_back]) / once
        if point.peak is None:
            rows.append((f"{share:.0%}", "none fits", "", f"{least:+.2%}", ""))
            continue
        more = point.extra_flops / once
        rows.append((f"{share:.0%}", f"{point.peak / 1e6:.1f}", f"{more:+.2%}", f"{least:+.2%}", f"{point.recomputed}"))
    return Table(
        title,
        f"{about}: {peak / 1e6:.1f} MB of arena and results without a budget. All of\n"
        f"these budgets were planned in {spent:.1f} s of one core. No plan of the graph has fewer extra FLOPs than\n"
        "the bound (`least_again` in tests/plan/recomputation_bounds.py).",
        ("budget", "planned MB", "extra FLOPs", "bound", "nodes computed again"),
        tuple(rows),
    )


PEERS = os.environ.get("GRAPHAD_PEERS", "/work/peers/bin/python")
"""Python of the environment that has JAX and torch."""

PROCESSES: tuple[tuple[str, str, str | None], ...] = (
    *[("chain", "graphad", budget) for budget in (None, "400MB", "250MB", "140MB", "100MB")],
    ("chain", "jax", None),
    ("chain", "jax-checkpoint", None),
    ("chain", "torch", None),
    *[("chain", "torch-compile", budget) for budget in ("1", "0.5", "0.1")],
    *[
        row
        for name in ("transformer", "cnn")
        for row in (
            *[(name, "graphad", budget) for budget in (None, "60%", "40%")],
            (name, "jax", None),
            (name, "torch", None),
        )
    ],
    ("transformer", "torch-compile", None),
)
"""Graph, system, and the budget it is given: bytes, a share of our own peak, or torch's `activation_memory_budget`."""


def process() -> Table:
    """Measure the rise of peak memory in one warm call, each row in a process of its own."""
    rows = []
    for name, system, budget in PROCESSES:
        python = sys.executable if system == "graphad" else PEERS
        command = [python, str(Path(__file__).with_name("memory_process.py")), system, name]
        command += [budget] if budget else []
        done = subprocess.run(command, capture_output=True, text=True)
        head = (name, system, budget or "")
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            refused = next((line for line in lines if "does not fit into" in line), None)
            least = refused.partition("the least that was found is ")[2].partition(" (")[0] if refused else ""
            rows.append((*head, "", f"refused: least {least} bytes" if refused else "failed", "", ""))
            print(*rows[-1], lines[-1], flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        planned = f"{found['planned'] / 1e6:.1f}" if "planned" in found else ""
        rows.append(
            (*head, planned, f"{found['rise'] / 1e6:.1f}", f"{found['seconds'] * 1e3:.1f}", f"{found['others']:.0%}")
        )
        print(*rows[-1], flush=True)
    return Table(
        "A process: the rise of its peak memory in one warm call",
        "VmHWM after writing 5 to /proc/self/clear_refs, above VmRSS before the call; what an allocator keeps of\n"
        "earlier calls is given back first, our arena too. `planned` is arena, results and workspace. ms is the\n"
        "median of three calls, while others used the share `busy` of the cores: where that is not near 0, ms is\n"
        "too high. `chain`: value and gradient for x of 36 layers x = tanh(x @ w), x 20,000x64, float64.\n"
        "`transformer` (2 blocks, width 256, 4 heads, length 128, batch 8, 1,000 words) and `cnn` (3 convolutions,\n"
        "32x32, batch 32): a training step in float32, the parameters kept as state. A budget is bytes, a share of\n"
        "our own peak, or torch's `activation_memory_budget`; jax-checkpoint puts `jax.checkpoint` around every\n"
        "six layers.",
        ("graph", "system", "budget", "planned MB", "rise MB", "ms", "busy"),
        tuple(rows),
    )


TABLES: dict[str, Callable[[], Table]] = {
    "process": process,
    "minimalloc": minimalloc,
    "orders": orders,
    "chain": chains,
    "budgets": budgets,
    "native": native_budgets,
}


def environment() -> dict[str, str]:
    """Return what the numbers hold for, with the versions of the environment that the peers ran in."""
    code = "import table; print(table.machine()['versions'])"
    here = str(Path(__file__).parent)
    asked = subprocess.run([PEERS, "-c", code], capture_output=True, text=True, cwd=here)
    found = machine()
    return {**found, "versions": f"{found['versions']}; peers: {asked.stdout.strip() or 'none'}"}


def written(tables: dict[str, Table]) -> None:
    """Renew these tables among the results kept, and write the page from all of them."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept.update({name: table.to_json() for name, table in tables.items()})
    ordered = {name: kept[name] for name in TABLES if name in kept}
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page([Table.from_json(each) for each in ordered.values()], environment()), encoding="utf-8")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TABLES:
        if name == "minimalloc":
            parser.add_argument("--minimalloc", type=float, nargs="?", const=1.9, metavar="SECONDS")
        else:
            parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--write", action="store_true", help="write docs/memory_benchmarks.md")
    options = parser.parse_args()
    asked = [name for name in TABLES if getattr(options, name)]
    found = {}
    for name in asked or (TABLES if options.write else ()):
        seconds = options.minimalloc if name == "minimalloc" else None
        found[name] = TABLES[name]() if seconds is None else minimalloc(seconds)
        print(found[name])
    if options.write:
        written(found)


if __name__ == "__main__":
    main()
