"""Train a classifier of handwritten digits, and keep every stage of its graph.

The model and the optimiser are plain NumPy. graphad traces them once into a graph, differentiates and optimises it,
plans its memory, and runs it with the optimiser's state kept inside the executable. What it leaves in `out/`:

    forward.svg, forward_backward.svg, optimized.svg     the graph, stage by stage
    graph.txt                                            the same stages as printed IR
    memory.svg                                           where every buffer lies, and when
    digits.safetensors                                   the trained classifier: `graphad show out/digits.safetensors`
    report.txt                                           ops, FLOPs, bytes and peak memory before and after each pass

python examples/digits.py [--epochs 30] [--out out]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphad as ga

BATCH = 64
HIDDEN = (128, 64)
RATE, DECAY_1, DECAY_2, EPSILON = 2e-3, 0.9, 0.999, 1e-8

Arrays = dict[str, Any]


def logits(params: Arrays, x: Any) -> Any:
    """Two hidden layers: one score a class."""
    with ga.scope("hidden1"):
        h = np.maximum(x @ params["w1"] + params["b1"], 0)
    with ga.scope("hidden2"):
        h = np.maximum(h @ params["w2"] + params["b2"], 0)
    with ga.scope("output"):
        return h @ params["w3"] + params["b3"]


def loss(params: Arrays, x: Any, y: Any) -> Any:
    """Mean cross-entropy of labels y."""
    scores = logits(params, x)
    with ga.scope("loss"):
        log_probability = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
        return -np.mean(np.sum(log_probability * (y[:, None] == np.arange(10)), axis=1))


def train_step(state: dict[str, Any], x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
    """One step of Adam (Kingma & Ba 2015): the loss before it, and the new state."""
    value, grads = ga.value_and_grad(loss)(state["params"], x, y)
    with ga.role("update"):
        t = state["t"] + 1
        rate = RATE * np.sqrt(1 - DECAY_2**t) / (1 - DECAY_1**t)
        first = {k: DECAY_1 * state["first"][k] + (1 - DECAY_1) * g for k, g in grads.items()}
        second = {k: DECAY_2 * state["second"][k] + (1 - DECAY_2) * g * g for k, g in grads.items()}
        params = {k: p - rate * first[k] / (np.sqrt(second[k]) + EPSILON) for k, p in state["params"].items()}
    return value, {"params": params, "first": first, "second": second, "t": t}


def initial_state(rng: np.random.Generator) -> dict[str, Any]:
    """He initialisation, and zero moments."""
    sizes = (64, *HIDDEN, 10)
    params: Arrays = {}
    for layer, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        params[f"w{layer}"] = (rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)).astype(np.float32)
        params[f"b{layer}"] = np.zeros(outputs, np.float32)
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    return {"params": params, "first": zeros, "second": dict(zeros), "t": np.float32(0)}


def main() -> None:
    """Train, and write every stage."""
    parser = argparse.ArgumentParser(description="Train a digits classifier and keep every stage of its graph.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits(return_X_y=True)
    x, x_held, y, y_held = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.2, random_state=0, stratify=labels
    )
    rng = np.random.default_rng(0)
    state = initial_state(rng)

    # Define: trace the loss, differentiate it, and the whole training step; optimise the step.
    forward = ga.trace(loss, state["params"], x[:BATCH], y[:BATCH])
    both = ga.value_and_grad(forward)
    step_graph = ga.trace(train_step, state, x[:BATCH], y[:BATCH])
    best = ga.optimize(step_graph)

    # Then run: the state stays inside the executable, a call passes only its batch.
    step = ga.compile(best, updates={"state": "1"}, state={"state": state})

    steps = len(x) // BATCH
    progress = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
    )
    with progress:
        task = progress.add_task("training", total=options.epochs * steps, loss=float("nan"))
        for _ in range(options.epochs):
            order = rng.permutation(len(x))
            for k in range(steps):
                batch = order[k * BATCH : (k + 1) * BATCH]
                value = step(x[batch], y[batch])
                progress.update(task, advance=1, loss=float(value))

    # The trained classifier, for any number of images: its batch is a symbolic size.
    trained = step.state["state"]["params"]
    classify = ga.optimize(
        ga.trace(
            lambda x: np.argmax(logits(trained, x), axis=1), ga.spec((ga.dim("batch"), 64), "float32"), name="digits"
        )
    )
    accuracy = float(np.mean(ga.compile(classify)(x_held) == y_held))

    out: Path = options.out
    ga.save(classify, out / "digits.safetensors")
    forward.to_svg(out / "forward.svg")
    both.to_svg(out / "forward_backward.svg")
    best.to_svg(out / "optimized.svg")
    step.plan.to_svg(out / "memory.svg")
    (out / "graph.txt").write_text(
        "\n\n".join(ga.print_graph(g, constant_limit=16) for g in (forward, both, best, classify)), encoding="utf-8"
    )
    (out / "report.txt").write_text(f"{best.report}\n\n{step.report()}\n", encoding="utf-8")
    print(f"held-out accuracy {accuracy:.2%} on {len(x_held)} images; every stage is in {out}/")
    if accuracy <= 0.97:
        raise SystemExit("the accuracy should be over 97 %")


if __name__ == "__main__":
    main()
