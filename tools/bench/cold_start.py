"""Cold start: a fresh process imports, traces, differentiates a small MLP and has its first gradient.

The clock runs from process start to process end. Beside HIPS autograd, JAX (jit, as its users write it) and NumPy by
hand.

python tools/bench/cold_start.py [rounds]
"""

from __future__ import annotations

import sys

from common import alternate, print_table

DATA = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 20)), rng.normal(size=(64, 1))
params = {"w1": rng.normal(size=(20, 32)), "b1": np.zeros(32), "w2": rng.normal(size=(32, 1)), "b2": np.zeros(1)}
"""

LOSS = """
def loss(params, x, y):
    h = np.tanh(x @ params["w1"] + params["b1"])
    return np.mean((h @ params["w2"] + params["b2"] - y) ** 2)
"""

BY_HAND = """
h = np.tanh(x @ params["w1"] + params["b1"])
error = 2 * (h @ params["w2"] + params["b2"] - y) / y.size
back = (error @ params["w2"].T) * (1 - h * h)
grads = {"w1": x.T @ back, "b1": back.sum(0), "w2": h.T @ error, "b2": error.sum(0)}
"""

SIDES = {
    "numpy by hand": DATA + BY_HAND,
    "graphad": DATA + LOSS + "import graphad as ga\ngrads = ga.jit(ga.grad(loss))(params, x, y)\n",
    "graphad, not compiled": DATA + LOSS + "import graphad as ga\ngrads = ga.grad(loss)(params, x, y)\n",
    "autograd": DATA + LOSS + "import autograd, autograd.numpy as np\ngrads = autograd.grad(loss)(params, x, y)\n",
    "jax": DATA
    + "import jax, jax.numpy as jnp\n"
    + LOSS.replace("np.", "jnp.")
    + "grads = jax.block_until_ready(jax.jit(jax.grad(loss))(params, x, y))\n",
}


def main() -> None:
    """Print whole-process wall times."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    measured = alternate(SIDES, rounds, whole_process=True)
    print_table("cold process to first gradient of a small MLP", measured, "ms", 1e3)


if __name__ == "__main__":
    main()
