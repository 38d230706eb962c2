"""Arena and order: how close placement and schedule come to their lower bounds, in CPU seconds.

    python tools/bench/arena.py --training    buffers of training graphs, plain and within budgets, on both executors
    python tools/bench/arena.py --random      up to 1,000 random intervals
    python tools/bench/arena.py --large       100,000 random intervals
    python tools/bench/arena.py --orders      training graphs: peaks of program order, of the order found, and the bound

All of them where none is named. The lower bound of a placement is the most bytes live at once; of some random
intervals no placement reaches it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "plan")]

from memory_tables import Table  # noqa: E402
from training_graphs import chain, cnn, mlp, transformer  # noqa: E402

from graphad.execute.native.preparing import prepared  # noqa: E402
from graphad.ir.errors import MemoryBudgetError  # noqa: E402
from graphad.ir.graph import Graph  # noqa: E402
from graphad.plan.arena import place, place_intervals  # noqa: E402
from graphad.plan.plan import Plan, plan  # noqa: E402
from graphad.plan.remat import within  # noqa: E402
from graphad.plan.schedule import program_order, schedule  # noqa: E402

Intervals = tuple[list[int], list[int], list[int]]
GRAPHS: dict[str, Callable[[], Graph]] = {
    "chain of 36": lambda: chain(36),
    "mlp": mlp,
    "cnn": lambda: cnn(channels=(3, 8, 16, 16, 32, 32)),
    **{f"transformer, {n} blocks": lambda n=n: transformer(n) for n in (1, 2, 3, 4, 8)},  # type: ignore[misc]
    "transformer, 1 block, as traced": lambda: transformer(1, optimized=False),
    "transformer, 2 blocks, as traced": lambda: transformer(2, optimized=False),
}


def log_normal(count: int, seed: int) -> Intervals:
    """Draw lifetimes with a long tail: few buffers live at once, so that one of them is much of the peak."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(2.5, 1.5, count)).astype(np.int64)
    return _columns(random.integers(0, count, count), lengths, random.integers(1, 99, count))


def uniform(count: int, seed: int) -> Intervals:
    """Draw lifetimes of up to a fifth of the time: very many buffers live at once."""
    random = np.random.default_rng(seed)
    starts, lengths = random.integers(0, count, count), random.integers(1, count // 5, count)
    return _columns(starts, lengths, random.integers(1, 999, count))


def mirrored(count: int, seed: int) -> Intervals:
    """Draw lifetimes of a gradient: of the first half some live until their mirror image, all others are short."""
    random = np.random.default_rng(seed)
    starts = np.arange(count)
    kept = (random.random(count) < 0.4) & (starts < count // 2)
    lengths = np.where(kept, count - 2 * starts, random.integers(1, 6, count))
    return _columns(starts, lengths, (2 ** random.uniform(0, 10, count)).astype(np.int64))


KINDS = (log_normal, uniform, mirrored)


def _columns(starts: np.ndarray, lengths: np.ndarray, units: np.ndarray) -> Intervals:
    order = np.lexsort((units, lengths, starts))
    starts = starts[order]
    return starts.tolist(), (starts + lengths[order]).tolist(), (64 * units[order]).tolist()


def most_live(starts: list[int], ends: list[int], sizes: list[int]) -> int:
    """Return the most bytes live at once."""
    change = np.zeros(max(ends) + 2, np.int64)
    np.add.at(change, starts, sizes)
    np.subtract.at(change, np.array(ends) + 1, sizes)
    return int(np.cumsum(change).max())


def random_intervals(counts: tuple[int, ...], seeds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind and count: the mean and the largest of arena over bound, and CPU seconds."""
    for kind in KINDS:
        for count in counts:
            ratios, seconds = [], []
            for seed in range(seeds):
                drawn = kind(count, seed)
                bound = most_live(*drawn)
                begin = time.process_time()
                _, top = place_intervals(*drawn, bound)
                seconds.append(time.process_time() - begin)
                ratios.append(top / bound)
            name = kind.__name__.replace("_", "-")
            mean = sum(ratios) / len(ratios)
            yield name, f"{count:,}", f"{mean:.4f}", f"{max(ratios):.4f}", f"{max(seconds):.2f}"


COLUMNS = ("lifetimes", "buffers", "arena / bound", "largest", "CPU s")


def small() -> Table:
    """Place up to 1,000 random intervals, eight draws each."""
    rows = tuple(random_intervals((100, 300, 900), 8))
    return Table("Placement: random intervals", "Eight draws of each kind and size.", COLUMNS, rows)


def large() -> Table:
    """Place 100,000 random intervals, two draws each."""
    rows = tuple(random_intervals((100_000,), 2))
    return Table("Placement: 100,000 random intervals", "Two draws of each kind.", COLUMNS, rows)


def training() -> Table:
    """Place the buffers of training graphs, without a budget and within shares of their peak."""
    rows: list[tuple[str, ...]] = []
    for name, make in GRAPHS.items():
        graph = make()
        for executor, seen in (("reference", graph), ("native", prepared(graph))):
            found = plan(seen)
            rows.append((name, executor, "", *_placed(found)))
            for share in (0.6, 0.4):
                try:
                    budgeted = within(seen, None, None, int(share * found.peak_bytes)).plan
                except MemoryBudgetError:
                    continue
                rows.append((name, executor, f"{share:.0%}", *_placed(budgeted)))
    columns = ("graph", "executor", "budget", "buffers", "arena / bound", "CPU s")
    about = "Value and gradient, without a budget and within shares of the peak where they are possible."
    return Table("Placement: training graphs", about, columns, tuple(rows))


def _placed(found: Plan) -> tuple[str, str, str]:
    begin = time.process_time()
    arena = place(found.lifetimes)
    seconds = time.process_time() - begin
    ratio = arena.nbytes / max(arena.lower_bound, 1)
    return f"{len(found.lifetimes.arena_buffers)}", f"{ratio:.4f}", f"{seconds:.3f}"


def orders() -> Table:
    """Order training graphs, as the reference executor runs them and as native code does."""
    rows: list[tuple[str, ...]] = []
    for name, make in GRAPHS.items():
        graph = make()
        for executor, seen in (("reference", graph), ("native", prepared(graph))):
            begin = time.process_time()
            found = schedule(seen)
            seconds = time.process_time() - begin
            assert found.peak is not None and found.bound is not None
            proven = "yes" if found.optimal else "no"
            steps = f"{len(program_order(seen))}"
            ratio = f"{found.peak / found.bound:.4f}"
            rows.append((name, executor, steps, f"{found.peak:,}", ratio, proven, f"{seconds:.2f}"))
    columns = ("graph", "executor", "steps", "order found", "/ bound", "proven best", "CPU s")
    return Table("Order: training graphs", "The peak against the bound that no order is below.", columns, tuple(rows))


TABLES: dict[str, Callable[[], Table]] = {"training": training, "random": small, "large": large, "orders": orders}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TABLES:
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    for name in [name for name in TABLES if getattr(options, name)] or TABLES:
        print(TABLES[name](), flush=True)


if __name__ == "__main__":
    main()
