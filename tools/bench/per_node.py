"""Cost per node: building (with the user's line), differentiating, DCE plus lifetimes; beside autograd and JAX.

Each side prints seconds per primitive of a chain of sin, mul and add on vectors of 8.

python tools/bench/per_node.py [rounds] [thousand primitives]
"""

from __future__ import annotations

import sys

from common import alternate, print_table

CHAIN = """
import sys, time, gc
import numpy as np
N = {n}
def chain(x):
    y = x
    for _ in range(N // 3):
        y = np.sin(y) * x + y
    return y
x = np.linspace(0.1, 0.9, 8)
"""

GRAPHAD = "import graphad as ga\n" + CHAIN

BUILD = {
    "graphad": GRAPHAD + "t = time.perf_counter(); g = ga.trace(chain, x); print((time.perf_counter() - t) / N)",
    "jax (make_jaxpr)": CHAIN
    + "import jax, jax.numpy as np\n"
    + "t = time.perf_counter(); g = jax.make_jaxpr(chain)(x); print((time.perf_counter() - t) / N)",
}

GRADIENT = {
    "graphad": GRAPHAD
    + "t = time.perf_counter(); g = ga.grad(ga.trace(lambda x: np.sum(chain(x)), x))\n"
    + "print((time.perf_counter() - t) / N)",
    "graphad, with values": GRAPHAD
    + "t = time.perf_counter(); g = ga.grad(lambda x: np.sum(chain(x)))(x); print((time.perf_counter() - t) / N)",
    "autograd, with values": CHAIN
    + "import autograd, autograd.numpy as np\n"
    + "t = time.perf_counter(); g = autograd.grad(lambda x: np.sum(chain(x)))(x)\n"
    + "print((time.perf_counter() - t) / N)",
    "jax (make_jaxpr of grad)": CHAIN
    + "import jax, jax.numpy as np\n"
    + "t = time.perf_counter(); g = jax.make_jaxpr(jax.grad(lambda x: np.sum(chain(x))))(x)\n"
    + "print((time.perf_counter() - t) / N)",
}

ANALYSIS = {
    "graphad": GRAPHAD
    + "g = ga.grad(ga.trace(lambda x: np.sum(chain(x)), x))\n"
    + "from graphad.ir.graph import reachable\nfrom graphad.plan.lifetimes import lifetimes\n"
    + "from graphad.plan.schedule import Schedule, program_order\n"
    + "n = len(g.nodes); order = Schedule(g, program_order(g))\n"
    + "t = time.perf_counter(); reachable(g.outputs); lifetimes(order); print((time.perf_counter() - t) / n)",
}


def main() -> None:
    """Print microseconds a node."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    n = 1000 * int(sys.argv[2]) if len(sys.argv) > 2 else 30_000
    for title, sides in (
        ("build a chain (bar: 15 us a node)", BUILD),
        ("build and differentiate, a primitive of the forward chain", GRADIENT),
        ("DCE plus lifetimes of the gradient graph (bar: 3 us a node)", ANALYSIS),
    ):
        sources = {name: source.replace("{n}", str(n)) for name, source in sides.items()}
        print_table(f"{title}, {n} primitives", alternate(sources, rounds), "us", 1e6)


if __name__ == "__main__":
    main()
