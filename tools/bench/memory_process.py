"""One process of `memory.py --process`: the rise of its peak memory in one warm gradient call, as JSON on a line.

python tools/bench/memory_process.py SYSTEM GRAPH [BUDGET]    SYSTEM: graphad, jax, jax-checkpoint, torch

The rise is VmHWM after writing 5 to /proc/self/clear_refs, above VmRSS before the call. graphad holds its arena between
calls: its pages are given back before the call, so that they count. What the allocator keeps of earlier calls is given
back for all (malloc_trim).
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, WIDTH, LAYERS = 20_000, 64, 36


def resident(key: str) -> int:
    """Return VmRSS or VmHWM of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def give_back(array: np.ndarray[Any, Any]) -> None:
    """Give the whole pages of an array back to the system."""
    page, start = 4096, array.ctypes.data
    first = -(-start // page) * page
    length = max((start + array.nbytes) // page * page - first, 0)
    ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), 4)


def measured(call: Callable[[], Any], prepare: Callable[[], None]) -> dict[str, float]:
    """Return the rise of one warm call and the median seconds of five more."""
    for _ in range(3):
        call()
    prepare()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    kept = call()
    rise = resident("VmHWM") - before
    del kept
    call()
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return {"rise": rise, "seconds": statistics.median(seconds)}


def arrays() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return x and w of the chain."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)), rng.standard_normal((WIDTH, WIDTH)) / 8


def graphad_call(name: str, budget: str | None) -> dict[str, float]:
    """Measure graphad on a graph of `training_graphs`."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[2] / part) for part in ("", "tests/plan")]
    import training_graphs as graphs

    import graphad as ga

    graph = {
        "chain": lambda: graphs.chain(LAYERS, ROWS, WIDTH),
        "transformer": lambda: graphs.transformer(4, d=128, heads=4, seq=128, batch=8, vocab=1000),
        "cnn": lambda: graphs.cnn(16, (3, 32, 64, 64), 32),
    }[name]()
    if budget is not None and budget.endswith("%"):
        budget = str(int(ga.compile(graph).peak_bytes * float(budget[:-1]) / 100))
    exe = ga.compile(graph, memory=budget).wait()
    rng = np.random.default_rng(0)
    given = [
        np.zeros(t.shape, t.dtype) if t.dtype.kind == "i" else (rng.standard_normal(t.shape) / 8).astype(t.dtype)
        for t in graph.input_types
    ]
    if name == "chain":
        given = list(arrays())
    program = exe._bound(())
    found = measured(lambda: program.run(given), lambda: give_back(program.program.arena))  # type: ignore[union-attr]
    return found | {"planned": exe.memory.peak}


def jax_call(checkpointed: bool) -> dict[str, float]:
    """Measure JAX on the chain, with `jax.checkpoint` around every six layers or without."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def segment(x: Any, w: Any) -> Any:
        for _ in range(6):
            x = jnp.tanh(x @ w)
        return x

    part = jax.checkpoint(segment) if checkpointed else segment

    def loss(x: Any, w: Any) -> Any:
        for _ in range(LAYERS // 6):
            x = part(x, w)
        return jnp.sum(x)

    x, w = map(jnp.asarray, arrays())
    call = jax.jit(jax.value_and_grad(loss))
    return measured(lambda: jax.block_until_ready(call(x, w)), lambda: None)


def torch_call() -> dict[str, float]:
    """Measure eager torch on the chain."""
    import torch

    x, w = map(torch.from_numpy, arrays())

    def call() -> Any:
        leaf = x.detach().requires_grad_()
        h = leaf
        for _ in range(LAYERS):
            h = torch.tanh(h @ w)
        return torch.autograd.grad(h.sum(), leaf)

    return measured(call, lambda: None)


def main() -> None:
    """Print what the command line asks for."""
    system, name, *rest = sys.argv[1:]
    if system == "graphad":
        found = graphad_call(name, rest[0] if rest else None)
    elif system == "torch":
        found = torch_call()
    else:
        found = jax_call(system == "jax-checkpoint")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
