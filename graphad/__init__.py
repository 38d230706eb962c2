"""graphad: trace NumPy code once into an explicit typed graph; differentiate, optimise, draw, save and run it.

Importing graphad loads nothing: each public name loads its room on first use, so a program pays for what it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphad.loading import homes_of, load_module, on_first_use

__version__ = "0.1.0"

_ROOMS: dict[str, tuple[str, ...]] = {
    "graphad.ir.containers": ("register_container",),
    "graphad.ir.diff": ("diff",),
    "graphad.ir.dims": ("dim",),
    "graphad.ir.emit": ("role", "scope"),
    "graphad.ir.errors": ("GraphadError",),
    "graphad.ir.graph": ("Graph",),
    "graphad.ir.node": ("Node", "Value"),
    "graphad.ir.parser": ("parse",),
    "graphad.ir.printer": ("print_graph",),
    "graphad.ir.types": ("TensorType",),
    "graphad.tracing.build": ("build",),
    "graphad.tracing.tensor": ("Tensor",),
    "graphad.tracing.trace": ("spec", "trace"),
    "graphad.autodiff": (
        "GradientCheckError",
        "check_grads",
        "checkpoint",
        "custom_jvp",
        "custom_vjp",
        "grad",
        "hessian",
        "hvp",
        "jacfwd",
        "jacobian",
        "jacrev",
        "jvp",
        "linearize",
        "stop_gradient",
        "value_and_grad",
        "vjp",
        "vmap",
    ),
    "graphad.passes": ("optimize", "pattern", "register_pass", "rule", "scalars", "variables"),
    "graphad.execute": ("Executable", "compile", "jit", "remat_curve"),
    "graphad.eager": ("EagerTensor", "arange", "eye", "full", "no_grad", "ones", "tensor", "zeros"),
    "graphad.files": ("load", "save"),
}
"""The public names by the module that defines them."""

_MODULES = ("linalg", "nn", "numpy", "random", "special")
"""Modules of the package that are public by themselves."""

_load = on_first_use(globals(), homes_of(_ROOMS))

__all__ = [
    "EagerTensor",
    "Executable",
    "GradientCheckError",
    "Graph",
    "GraphadError",
    "Node",
    "Tensor",
    "TensorType",
    "Value",
    "arange",
    "build",
    "check_grads",
    "checkpoint",
    "compile",
    "custom_jvp",
    "custom_vjp",
    "diff",
    "dim",
    "eye",
    "full",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linalg",
    "linearize",
    "load",
    "nn",
    "no_grad",
    "numpy",
    "ones",
    "optimize",
    "parse",
    "pattern",
    "print_graph",
    "random",
    "register_container",
    "register_pass",
    "remat_curve",
    "role",
    "rule",
    "save",
    "scalars",
    "scope",
    "spec",
    "special",
    "stop_gradient",
    "tensor",
    "trace",
    "value_and_grad",
    "variables",
    "vjp",
    "vmap",
    "zeros",
]


def __getattr__(name: str) -> Any:
    return load_module(f"graphad.{name}") if name in _MODULES else _load(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    # isort: off
    from graphad.ir.containers import register_container as register_container
    from graphad.ir.diff import diff as diff
    from graphad.ir.dims import dim as dim
    from graphad.ir.emit import role as role, scope as scope
    from graphad.ir.errors import GraphadError as GraphadError
    from graphad.ir.graph import Graph as Graph
    from graphad.ir.node import Node as Node, Value as Value
    from graphad.ir.parser import parse as parse
    from graphad.ir.printer import print_graph as print_graph
    from graphad.ir.types import TensorType as TensorType
    from graphad.tracing.build import build as build
    from graphad.tracing.tensor import Tensor as Tensor
    from graphad.tracing.trace import spec as spec, trace as trace
    from graphad.autodiff import (
        GradientCheckError as GradientCheckError,
        check_grads as check_grads,
        checkpoint as checkpoint,
        custom_jvp as custom_jvp,
        custom_vjp as custom_vjp,
        grad as grad,
        hessian as hessian,
        hvp as hvp,
        jacfwd as jacfwd,
        jacobian as jacobian,
        jacrev as jacrev,
        jvp as jvp,
        linearize as linearize,
        stop_gradient as stop_gradient,
        value_and_grad as value_and_grad,
        vjp as vjp,
        vmap as vmap,
    )
    from graphad.passes import (
        optimize as optimize,
        pattern as pattern,
        register_pass as register_pass,
        rule as rule,
        scalars as scalars,
        variables as variables,
    )
    from graphad.execute import (
        Executable as Executable,
        compile as compile,
        jit as jit,
        remat_curve as remat_curve,
    )
    from graphad.eager import (
        EagerTensor as EagerTensor,
        arange as arange,
        eye as eye,
        full as full,
        no_grad as no_grad,
        ones as ones,
        tensor as tensor,
        zeros as zeros,
    )
    from graphad.files import load as load, save as save
    from graphad import linalg as linalg, nn as nn, numpy as numpy, random as random, special as special
    # isort: on
