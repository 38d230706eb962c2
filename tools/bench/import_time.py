"""Import time over `import numpy`: graphad beside HIPS autograd and JAX, each in a fresh process.

`import graphad` alone loads nothing; the side "graphad" also loads what a first trace needs.

python tools/bench/import_time.py [rounds]
"""

from __future__ import annotations

import sys

from common import Measured, alternate, print_table

TIMED = "import time; start = time.perf_counter(); import numpy{0}; print(time.perf_counter() - start)"

SIDES = {
    "numpy": TIMED.format(""),
    "graphad": TIMED.format(", graphad, graphad.numpy; graphad.trace"),
    "graphad, import alone": TIMED.format(", graphad"),
    "autograd": TIMED.format(", autograd.numpy"),
    "jax": TIMED.format(", jax"),
}


def main() -> None:
    """Print the import times, and the cost over NumPy's."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    measured = alternate(SIDES, rounds)
    print_table("import, whole", measured, "ms", 1e3)
    numpy = next(m for m in measured if m.name == "numpy")
    over = [
        Measured(m.name, tuple(a - b for a, b in zip(m.numbers, numpy.numbers, strict=True)))
        for m in measured
        if m is not numpy
    ]
    print_table("import, over `import numpy` of the same round (bar: graphad at most 60 ms)", over, "ms", 1e3)


if __name__ == "__main__":
    main()
