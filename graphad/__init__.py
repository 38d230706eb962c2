"""graphad: trace NumPy code once into an explicit typed graph; differentiate, optimise, draw, save and run it.

Importing graphad loads NumPy and little else; the rooms above tracing load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphad.ir.dims import dim
from graphad.ir.emit import role, scope
from graphad.ir.errors import GraphadError
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType
from graphad.tracing import Tensor
from graphad.tracing.trace import spec, trace

from graphad import numpy as numpy  # isort: skip  # fills the table of NumPy functions

__version__ = "0.1.0"

_LAZY: dict[str, str] = {
    **dict.fromkeys(("optimize", "pattern", "register_pass", "rule", "scalars", "variables"), "graphad.passes"),
    **dict.fromkeys(
        (
            "GradientCheckError",
            "check_grads",
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
        "graphad.autodiff",
    ),
    **dict.fromkeys(("Executable", "compile", "jit"), "graphad.execute"),
    **dict.fromkeys(("EagerTensor", "arange", "eye", "full", "no_grad", "ones", "tensor", "zeros"), "graphad.eager"),
    "build": "graphad.tracing.build",
    "diff": "graphad.ir.diff",
    **dict.fromkeys(("load", "save"), "graphad.files"),
    "parse": "graphad.ir.parser",
    "print_graph": "graphad.ir.printer",
    "register_container": "graphad.ir.containers",
}

_MODULES = frozenset({"linalg", "random", "special"})
"""Modules of the package that load on first use."""

__all__ = ["Graph", "GraphadError", "Node", "Tensor", "TensorType", "Value", "dim", "role", "scope", "spec", "trace"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"graphad.{name}")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'graphad' has no attribute {name!r}")
    found = getattr(importlib.import_module(module), name)
    globals()[name] = found
    return found


if TYPE_CHECKING:
    # isort: off
    from graphad import random as random, special as special
    from graphad.tracing.build import build as build
    from graphad.ir.containers import register_container as register_container
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
    from graphad.ir.diff import diff as diff
    from graphad.ir.parser import parse as parse
    from graphad.ir.printer import print_graph as print_graph
    from graphad.execute import (
        Executable as Executable,
        compile as compile,
        jit as jit,
    )
    from graphad.passes import (
        optimize as optimize,
        pattern as pattern,
        register_pass as register_pass,
        rule as rule,
        scalars as scalars,
        variables as variables,
    )
    from graphad.autodiff import (
        GradientCheckError as GradientCheckError,
        check_grads as check_grads,
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
    # isort: on
