"""The rows of the benchmark table: what is measured, beside whom, and the bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

SINGLE, DOUBLE = 1e-3, 1e-9
"""How far checksums may lie apart, relatively, in float32 and in float64."""


class Kind(Enum):
    """What a row's seconds are."""

    STEP = "a step"
    READY = "trace to first result"
    PROCESS = "whole process"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: for the command line.
        title: for the table.
        module: the module of `workloads`.
        bar: the ratio to the best peer to reach.
        bars: ratios to certain peers to reach as well.
        peers: who is run beside us.
        arguments: the workload's sizes, where they are not the usual ones.
        slow: peers that take a minute or more to build, run on demand.
        quoted: peers' seconds, for those that are not run.
        limits: sides that are run for comparison and do not compete.
        tolerance: how far checksums may lie apart.
        rounds: at most so many.
        needs: a file of `../shared/data/adbench`, if the row reads one.
        limit: what holds the row back where it is behind, as its profile says.
    """

    name: str
    title: str
    module: str
    bar: float
    peers: tuple[str, ...]
    bars: Mapping[str, float] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    slow: tuple[str, ...] = ()
    quoted: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    tolerance: float = DOUBLE
    kind: Kind = Kind.STEP
    rounds: int = 9
    needs: str | None = None
    limit: str = ""

    def missing(self) -> str | None:
        """Return the path that the row needs and that is not there."""
        if self.needs is None:
            return None
        from workloads.adbench import FULL

        path = FULL / self.needs
        return None if path.exists() else str(path)


ROWS = (
    Row(
        "mlp",
        "MLP 784-512-512-10 SGD step, batch 128, f32",
        "mlp",
        bar=0.80,
        peers=("jax", "torch"),
        limits=("products",),
        tolerance=SINGLE,
        limit="the products alone take nearly all of it, and run at 80 to 90 % of the processor's peak on each thread",
    ),
    Row(
        "transformer",
        "2-layer transformer step, d 256, 4 heads, length 128, batch 8, 1,000 words, f32",
        "transformer",
        bar=1.00,
        peers=("torch_compile", "torch"),
        limits=("products",),
        tolerance=SINGLE,
        limit="the products alone take 85 % of it; the clock of this machine moves the ratio more than the rest does",
    ),
    Row(
        "cnn",
        "small CNN step (3 conv 3x3 32/64/64, pools, 32x32, batch 32), f32",
        "cnn",
        bar=1.00,
        peers=("torch", "jax"),
        limits=("products",),
        tolerance=SINGLE,
    ),
    Row(
        "blackscholes",
        "Black-Scholes price + 5 greeks, 1e6, f64",
        "blackscholes",
        bar=0.45,
        peers=("torch", "jax"),
        limits=("limit",),
    ),
    Row(
        "rosen10",
        "Rosenbrock value+gradient from Python, n=10, f64",
        "rosen",
        bar=1.00,
        peers=("casadi", "pytensor"),
        arguments={"n": 10},
        limits=("limit",),
    ),
    Row(
        "rosen1000",
        "the same, n=1000",
        "rosen",
        bar=0.70,
        peers=("casadi", "pytensor"),
        arguments={"n": 1000},
        limits=("limit",),
    ),
    Row(
        "logreg",
        "logistic regression 200x20 value+gradient, f64",
        "logreg",
        bar=0.80,
        peers=("pytensor", "casadi"),
        limits=("limit",),
    ),
    Row(
        "hierarchical",
        "hierarchical normal regression logp+gradient (85 groups, 919 rows), f64",
        "hierarchical",
        bar=0.60,
        peers=("pytensor", "casadi"),
        limits=("limit",),
    ),
    Row(
        "cold",
        "cold process: import to first gradient of a small MLP",
        "cold",
        bar=1.20,
        peers=("autograd", "jax"),
        bars={"jax": 0.25},
        limits=("by_hand",),
        tolerance=SINGLE,
        kind=Kind.PROCESS,
        limit="what comes on top of NumPy's own start: importing eighty modules, and optimising twenty nodes",
    ),
    Row(
        "unrolled1000",
        "1,000 unrolled ops on vectors of 8, value+gradient: run",
        "unrolled",
        bar=1.00,
        peers=("casadi",),
        arguments={"ops": 1000},
        slow=("pytensor",),
        quoted={"pytensor": 56e-6},
    ),
    Row(
        "unrolled10000",
        "10,000 unrolled ops: run",
        "unrolled",
        bar=1.00,
        peers=("casadi",),
        arguments={"ops": 10_000},
    ),
    Row(
        "unrolled100000",
        "100,000 unrolled ops: run",
        "unrolled",
        bar=0.60,
        peers=("casadi",),
        arguments={"ops": 100_000},
    ),
    Row(
        "ready100000",
        "100,000 unrolled ops: trace to native code ready",
        "unrolled",
        bar=3.0,
        peers=("casadi",),
        arguments={"ops": 100_000},
        kind=Kind.READY,
        rounds=3,
        limit="300,000 nodes at some 15 us each: tracing, derivatives, grouping into loop nests and binding, not LLVM",
    ),
    Row(
        "ready_transformer",
        "transformer step: trace + optimise + compile until native code runs",
        "transformer",
        bar=0.50,
        peers=("jax",),
        tolerance=SINGLE,
        kind=Kind.READY,
        limit="half of it is LLVM, which compiles some 50 different kernels",
    ),
    Row(
        "gmm_d10_K100",
        "ADBench GMM 1k d10 K100, value+gradient, f64",
        "gmm",
        bar=0.60,
        peers=("jax",),
        arguments={"instance": "d10_K100"},
        quoted={"C++ by hand": 13e-3},
        needs="gmm/1k/gmm_d10_K100.txt",
    ),
    Row(
        "gmm_d64_K25",
        "ADBench GMM 1k d64 K25, value+gradient, f64",
        "gmm",
        bar=0.60,
        peers=("jax",),
        arguments={"instance": "d64_K25"},
        quoted={"C++ by hand": 63e-3},
        needs="gmm/1k/gmm_d64_K25.txt",
        limit="memory traffic: what the products read and write is 12.8 MB a stack",
    ),
    Row(
        "ba",
        "ADBench bundle adjustment ba1 (2x15 blocks a residual), f64",
        "ba",
        bar=1.00,
        peers=("jax",),
        quoted={"C++ by hand": 5.9e-3},
        limits=("limit",),
    ),
    Row(
        "hand_small",
        "ADBench hand, simple_small c100 (26-column Jacobian), f64",
        "hand",
        bar=1.00,
        peers=("jax",),
        arguments={"size": "small"},
        quoted={"C++ by hand": 0.48e-3},
        limits=("limit",),
        needs="hand/simple_small/hand1_t26_c100.txt",
    ),
    Row(
        "hand_big",
        "ADBench hand, simple_big c100 (26-column Jacobian), f64",
        "hand",
        bar=1.00,
        peers=("jax",),
        arguments={"size": "big"},
        quoted={"C++ by hand": 9.3e-3},
        limits=("limit",),
        needs="hand/simple_big/hand1_t26_c100.txt",
    ),
)
