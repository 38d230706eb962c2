"""Convolution, pooling and sorting: the reference executor beside NumPy's and SciPy's best, and JAX.

Each side prints seconds for one call, the best of several. NumPy's side copies windows with `sliding_window_view` and
multiplies with `tensordot`; SciPy's is `scipy.signal.correlate`, which chooses between sums and Fourier transforms.

python tools/bench/conv.py [rounds]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from common import alternate, print_table

COMMON = """
import time
import numpy as np
def best(call):
    call()
    found = []
    for _ in range({calls}):
        start = time.perf_counter(); call(); found.append(time.perf_counter() - start)
    print(min(found))
rng = np.random.default_rng(0)
x = rng.normal(size={x}).astype("{dtype}")
w = rng.normal(size={w}).astype("{dtype}")
"""

GRAPHAD = "import graphad as ga\nfrom graphad import nn\n"
JAX = "import jax, jax.numpy as jnp\njax.config.update('jax_enable_x64', True)\nx, w = jnp.asarray(x), jnp.asarray(w)\n"
JAX_CONV = "jax.lax.conv_general_dilated(x, w, {strides}, 'VALID', feature_group_count={groups})"

CONV = "f = ga.compile(ga.trace(lambda x, w: nn.conv(x, w, {strides}, groups={groups}), x, w))\nbest(lambda: f(x, w))"
GRAD = """
loss = lambda x, w: (nn.conv(x, w, {strides}, groups={groups}) ** 2).sum()
f = ga.compile(ga.grad(ga.trace(loss, x, w), (0, 1)))
best(lambda: f(x, w))
"""
NUMPY_CONV = """
from numpy.lib.stride_tricks import sliding_window_view
space = tuple(range(2, x.ndim))
def call():
    steps = (*(slice(None, None, s) for s in {strides}), *[slice(None)] * len(space))
    windows = sliding_window_view(x, w.shape[2:], space)[(..., *steps)]
    y = np.tensordot(windows, w, ((1, *range(2 + len(space), 2 + 2 * len(space))), (1, *space)))
    return np.ascontiguousarray(np.moveaxis(y, -1, 1))
best(call)
"""
SCIPY_CONV = """
from scipy import signal
a, b = x.reshape(x.shape[2:]), w.reshape(w.shape[2:])
best(lambda: signal.correlate(a, b, 'valid'))
"""
JAX_SIDE = JAX + "f = jax.jit(lambda x, w: " + JAX_CONV + ")\nbest(lambda: f(x, w).block_until_ready())"
JAX_GRAD = (
    JAX
    + "f = jax.jit(jax.grad(lambda x, w: ("
    + JAX_CONV
    + " ** 2).sum(), (0, 1)))\nbest(lambda: jax.block_until_ready(f(x, w)))"
)


@dataclass(frozen=True)
class Case:
    """Shapes of one comparison, and what each side runs."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    sides: dict[str, str]
    strides: tuple[int, ...] = (1, 1)
    groups: int = 1
    dtype: str = "float64"
    calls: int = 5

    def sources(self) -> dict[str, str]:
        """Return the sides' sources."""
        values = {"calls": self.calls, "x": self.x, "w": self.w, "dtype": self.dtype}
        return {
            name: COMMON.format(**values) + source.format(strides=self.strides, groups=self.groups)
            for name, source in self.sides.items()
        }


LAYER = {"graphad": GRAPHAD + CONV, "numpy": NUMPY_CONV, "jax": JAX_SIDE}
DEPTHWISE = {"graphad": GRAPHAD + CONV, "jax": JAX_SIDE}
FILTER = {"graphad": GRAPHAD + CONV, "numpy": NUMPY_CONV, "scipy": SCIPY_CONV}
GRADIENT = {"graphad": GRAPHAD + GRAD, "jax": JAX_GRAD}
POOL = {
    "graphad": GRAPHAD + "f = ga.compile(ga.trace(lambda x: nn.max_pool(x, 2), x))\nbest(lambda: f(x))",
    "numpy": "n, c, h, m = x.shape\nbest(lambda: x.reshape(n, c, h // 2, 2, m // 2, 2).max((3, 5)))",
    "jax": JAX
    + "f = jax.jit(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID'))\n"
    + "best(lambda: f(x).block_until_ready())",
}
SORT = {
    "graphad": "import graphad as ga\n"
    + "f = ga.compile(ga.trace(lambda x: np.quantile(x, [0.1, 0.5], 1), x))\nbest(lambda: f(x))",
    "numpy": "best(lambda: np.quantile(x, [0.1, 0.5], 1))",
    "jax": JAX
    + "f = jax.jit(lambda x: jnp.quantile(x, jnp.array([0.1, 0.5]), 1))\nbest(lambda: f(x).block_until_ready())",
}

CASES = (
    Case("first layer, 16 x 3 x 64 x 64, 16 of 3 x 3", (16, 3, 64, 64), (16, 3, 3, 3), LAYER, dtype="float32"),
    Case("layer, 16 x 32 x 32 x 32, 32 of 3 x 3", (16, 32, 32, 32), (32, 32, 3, 3), LAYER, dtype="float32"),
    Case("layer with stride 2", (16, 32, 32, 32), (64, 32, 3, 3), LAYER, strides=(2, 2), dtype="float32"),
    Case("deep layer, 16 x 128 x 8 x 8, 128 of 3 x 3", (16, 128, 8, 8), (128, 128, 3, 3), LAYER, dtype="float32"),
    Case("depthwise, 16 x 32 x 32 x 32, 3 x 3", (16, 32, 32, 32), (32, 1, 3, 3), DEPTHWISE, groups=32, dtype="float32"),
    Case("sequence, 16 x 32 x 1000, 32 of 5", (16, 32, 1000), (32, 32, 5), LAYER, strides=(1,)),
    Case("image filter, 512 x 512, 5 x 5", (1, 1, 512, 512), (1, 1, 5, 5), FILTER),
    Case("image filter, 512 x 512, 31 x 31", (1, 1, 512, 512), (1, 1, 31, 31), FILTER),
    Case("signal, 100,000, 3,000", (1, 1, 100_000), (1, 1, 3_000), FILTER, strides=(1,)),
    Case("signal, 100,000, 50", (1, 1, 100_000), (1, 1, 50), FILTER, strides=(1,)),
    Case("gradient of the layer", (16, 32, 32, 32), (32, 32, 3, 3), GRADIENT, dtype="float32"),
    Case("max_pool 2 x 2 of 16 x 32 x 64 x 64", (16, 32, 64, 64), (1,), POOL, dtype="float32"),
    Case("quantiles of 100 rows of 10,000", (100, 10_000), (1,), SORT),
)


def main() -> None:
    """Print milliseconds a call."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for case in CASES:
        print_table(f"{case.name}, {case.dtype}", alternate(case.sources(), rounds), "ms", 1e3)


if __name__ == "__main__":
    main()
