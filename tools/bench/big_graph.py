"""Big graphs, stage by stage: ADBench's LSTM unrolled over 64, 256 and 1,024 steps, and a chain of 100,000 ops.

Prints seconds and microseconds a node of each stage (nodes of the traced graph for `trace`, new nodes for
`value_and_grad`, nodes of its result for `optimize`, steps for the rest), and what the same gradient costs autograd,
and `jax.make_jaxpr` at the sizes it can bear (it needs most of a minute for 1,024 steps).

python tools/bench/big_graph.py [rounds] [steps ...]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable

from common import ROOT, output_of

DATA = ROOT / "tests" / "data" / "adbench"
JAX_STEPS = 64
"""The longest LSTM that JAX is asked to trace."""

LSTM = f"""
import sys, time
import numpy as np
sys.path.insert(0, {str(DATA)!r})
import load, objectives
main, extra, state, sequence = load.lstm({str(DATA / "lstm" / "lstm_l2_c1024.txt")!r})
arguments = (main, extra, state, np.concatenate([sequence, sequence[:1]])[: {{size}} + 1])
def function(xp):
    return lambda *arguments: objectives.lstm_unrolled(xp, *arguments)
"""

CHAIN = """
import time
import numpy as np
arguments = (np.linspace(0.1, 0.9, 8),)
def function(xp):
    def chain(x):
        y = x
        for _ in range({size} // 3):
            y = xp.sin(y) * x + y
        return xp.sum(y)
    return chain
"""

GRAPHAD = """
import json
import graphad as ga
from graphad.plan.plan import plan
from graphad.execute.opening import open_groups
seconds, nodes = {}, {}
def stage(name, act, count):
    start = time.perf_counter()
    result = act()
    seconds[name] = time.perf_counter() - start
    nodes[name] = count(result)
    return result
traced = stage("trace", lambda: ga.trace(function(np), *arguments), lambda g: len(g.nodes))
both = stage("value_and_grad", lambda: ga.value_and_grad(traced), lambda g: len(g.nodes) - len(traced.nodes))
best = stage("optimize", lambda: ga.optimize(both), lambda g: len(both.nodes))
opened = open_groups(best)
made = stage("plan", lambda: plan(opened), lambda p: len(p.schedule.nodes))
executable = stage("compile (opens, plans)", lambda: ga.compile(best), lambda e: len(made.schedule.nodes))
stage("first call", lambda: executable(*arguments), lambda r: len(made.schedule.nodes))
stage("run", lambda: executable(*arguments), lambda r: len(made.schedule.nodes))
print(json.dumps([seconds, nodes]))
"""

AUTOGRAD = """
import json
import autograd, autograd.numpy
start = time.perf_counter()
autograd.value_and_grad(function(autograd.numpy))(*arguments)
print(json.dumps([{"gradient": time.perf_counter() - start}, {}]))
"""

JAX = """
import json
import jax, jax.numpy
jax.config.update("jax_enable_x64", True)
start = time.perf_counter()
jax.make_jaxpr(function(jax.numpy))(*arguments)
traced = time.perf_counter() - start
start = time.perf_counter()
jax.make_jaxpr(jax.value_and_grad(function(jax.numpy)))(*arguments)
print(json.dumps([{"trace": traced, "trace with gradient": time.perf_counter() - start}, {}]))
"""

Stages = tuple[dict[str, float], dict[str, int]]


def measured(source: str, rounds: int) -> Stages:
    """Return the median seconds of each stage, and its nodes."""
    found: list[Stages] = [tuple(json.loads(output_of(source).splitlines()[-1])) for _ in range(rounds)]
    names = found[0][0]
    return {name: statistics.median(seconds[name] for seconds, _ in found) for name in names}, found[0][1]


def report(title: str, setup: Callable[[int], str], size: int, rounds: int, with_jax: bool) -> None:
    """Print one workload: our stages, then the peers with their ratio to ours."""
    print(f"\n{title}")
    seconds, nodes = measured(setup(size) + GRAPHAD, rounds)
    for name, taken in seconds.items():
        print(f"  {name:24s} {taken:8.3f} s  {taken / nodes[name] * 1e6:8.2f} us a node of {nodes[name]:>8,}")
    ready = sum(seconds[name] for name in ("trace", "value_and_grad", "optimize", "plan"))
    print(f"  {'trace to plan':24s} {ready:8.3f} s")
    gradient = measured(setup(size) + AUTOGRAD, rounds)[0]["gradient"]
    for other in ("trace", "run"):
        print(f"  autograd, value and gradient {gradient:8.3f} s: {gradient / seconds[other]:8.2f} x graphad's {other}")
    if with_jax:
        theirs = measured(setup(size) + JAX, rounds)[0]
        both = seconds["trace"] + seconds["value_and_grad"]
        for name, ours in (("trace", seconds["trace"]), ("trace with gradient", both)):
            print(f"  jax, {name:23s} {theirs[name]:8.3f} s: {theirs[name] / ours:8.2f} x graphad's")


def main() -> None:
    """Print all workloads."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for steps in map(int, sys.argv[2:] or ["64", "256", "1024"]):
        title = f"LSTM, {steps:,} steps (bar: 15 s from trace to plan at 1,024 steps)"
        report(title, lambda size: LSTM.replace("{size}", str(size)), steps, rounds, steps <= JAX_STEPS)
    report("chain of 100,000 ops", lambda size: CHAIN.replace("{size}", str(size)), 100_000, rounds, False)


if __name__ == "__main__":
    main()
