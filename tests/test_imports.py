"""Imports point one way, and importing graphad loads NumPy and nothing else heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphad

PACKAGE = Path(graphad.__file__).parent

FLOORS = {
    "ir": 0,
    "ops": 1,
    "tracing": 2,
    "numpy": 3,
    "special": 4,
    "random": 5,
    "linalg": 4,
    "autodiff": 4,
    "passes": 4,
    "plan": 5,
    "execute": 6,
    "eager": 7,
    "view": 7,
    "files": 7,
    "nn": 8,
    "cli": 8,
}
"""A room may import rooms of its own floor's number or lower, but not another room of its own floor."""

DOORS = {
    "ir/graph.py": "methods of Graph forward to the rooms above, importing on first use",
    "numpy/applying.py": "apply_along_axis is vmap of a function",
    "passes/pipeline.py": "optimize(memory_budget=) ends with the planner's recomputation",
    "execute/curve.py": "RematCurve.to_svg draws itself",
    "plan/plan.py": "Plan.to_svg, Plan.live_svg and Plan.peak_svg draw themselves",
    "plan/savings.py": "Savings.to_svg draws itself",
    "tracing/tensor.py": "Tensor.at and __array_namespace__ hand out graphad.numpy, and eager evaluates what is known",
}
"""Files that may import upwards inside functions, and why."""


def imported_rooms(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Give (room, line, inside a function) for each import of graphad that runs."""

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, int, bool]]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "graphad"
            names = [f"graphad.{alias.name}" for alias in node.names] if whole else [node.module]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "LateModule":
            names = [ast.literal_eval(node.args[0])]
        for name in names:
            if name.startswith("graphad."):
                yield name.split(".")[1], node.lineno, inside
        inside = inside or isinstance(node, (ast.FunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree, False)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    room = name.split("/")[0].removesuffix(".py")
    assert room in FLOORS, f"{name} stands in no room of the plan"
    for target, line, inside in imported_rooms(ast.parse(path.read_text(encoding="utf-8"))):
        if target not in FLOORS or (inside and name in DOORS):
            continue
        allowed = target == room or FLOORS[target] < FLOORS[room]
        assert allowed, f"{name}:{line} imports graphad.{target}, which stands above or beside {room}"


def test_doors_are_still_needed() -> None:
    for name in DOORS:
        rooms = [r for r, _, inside in imported_rooms(ast.parse((PACKAGE / name).read_text())) if inside]
        text = (PACKAGE / name).read_text()
        assert rooms or "import_module" in text, f"{name} imports nothing upwards: take it off the list"


def test_importing_graphad_loads_numpy_and_nothing_heavy() -> None:
    heavy = ["networkx", "graphviz", "rich", "safetensors", "scipy", "sklearn", "llvmlite", "matplotlib", "pytest"]
    code = f"import sys, graphad; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    for name in graphad.__all__:
        assert getattr(graphad, name) is not None


NEEDLESS = (
    *("dataclasses", "copy", "json", "decimal", "unittest", "urllib", "asyncio", "importlib.metadata", "concurrent"),
    *("llvmlite", "scipy", "networkx", "graphad.view", "graphad.nn", "graphad.files", "graphad.eager"),
    *("graphad.ir.parser", "graphad.ir.printer", "graphad.ir.verify", "graphad.autodiff.custom", "graphad.random"),
    *("graphad.autodiff.jacobians", "graphad.autodiff.check", "graphad.plan.remat", "graphad.execute.native"),
    *("graphad.numpy.quantiles", "graphad.numpy.untraceable", "graphad.ops.fourier", "graphad.ops.sorting"),
    *("graphad.ops.convolution", "graphad.ops.special", "graphad.linalg", "graphad.special"),
    *("graphad.ops.comparison", "graphad.ops.selection", "graphad.ops.transcendental", "graphad.ops.trigonometric"),
    *("graphad.ops.rounding", "graphad.ops.slicing", "graphad.ops.joining", "graphad.ops.cumulative"),
    *("graphad.passes.stabilize", "graphad.passes.signs", "graphad.passes.choices", "graphad.passes.slices"),
    *("graphad.passes.narrow", "graphad.passes.fast_math", "graphad.passes.dce", "graphad.ir.polynomials"),
    *("graphad.ir.size_text", "graphad.autodiff.checkpointing", "graphad.tracing.known"),
)
"""Modules that the first gradient of a small network has no use for."""

FIRST_GRADIENT = """
import numpy as np, sys
before = set(sys.modules)
import graphad as ga
def loss(w1, w2, x, y):
    return np.mean((np.tanh(x @ w1) @ w2 - y) ** 2)
arrays = np.ones((6, 4)), np.ones((4, 1)), np.ones((3, 6)), np.ones((3, 1))
ga.jit(ga.value_and_grad(loss, argnums=(0, 1)), executor="reference")(*arrays)
print(*sorted(set(sys.modules) - before))
"""


def test_a_first_gradient_loads_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_GRADIENT], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "graphad.autodiff.reverse" in loaded
    assert not set(NEEDLESS) & set(loaded)


EVERY_MEANING = """
import numpy as np
import graphad as ga
from graphad.tracing.protocols import FUNCTIONS, meaning
ga.Tensor
alone = {name: meaning(getattr(np, name)) for name in ("mean", "power", "sign", "matmul", "einsum", "around", "amax")}
from graphad.numpy.homes import load_all
load_all()
print([name for name, found in alone.items() if found is None or found is not FUNCTIONS[getattr(np, name)]])
"""


def test_a_meaning_is_found_without_loading_the_others() -> None:
    done = subprocess.run([sys.executable, "-c", EVERY_MEANING], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_of_lazy_packages_resolve() -> None:
    import graphad.autodiff
    import graphad.execute
    import graphad.numpy
    import graphad.ops

    for package in (graphad.autodiff, graphad.execute, graphad.ops):
        assert all(getattr(package, name) is not None for name in package.__all__)
    for name in dir(graphad.numpy):
        getattr(graphad.numpy, name)
    assert callable(graphad.numpy.einsum) and callable(graphad.ops.cast)
