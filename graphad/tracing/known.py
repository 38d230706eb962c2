"""Which tensors have elements already: those that depend on no input of a graph.

Their values are computed where they are asked for (`graphad.eager`); everything else has to be answered by the graph.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from graphad.ir.dims import is_static
from graphad.ir.leaf import Constant, Input, SizeValue
from graphad.ir.node import Node, Value

VALUES: weakref.WeakKeyDictionary[Node, tuple[np.ndarray[Any, Any], ...]] = weakref.WeakKeyDictionary()
"""The results of nodes that are computed already."""


def is_known(value: Value) -> bool:
    """Tell whether a value depends on no input, and on no size that is not bound yet."""
    stack = [value.node]
    seen = set(stack)
    while stack:
        node = stack.pop()
        op = node.op
        if isinstance(op, Constant) or node in VALUES:
            continue
        if type(op) is Input or not all(result.static for result in node.types):
            return False
        if isinstance(op, SizeValue) and not is_static((op.size,)):
            return False
        for operand in node.inputs:
            if operand.node not in seen:
                seen.add(operand.node)
                stack.append(operand.node)
    return True
