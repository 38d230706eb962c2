"""One example for each rule: a function of plain NumPy code (or ops) whose optimisation must use the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphad as ga
import graphad.ops as ops
from graphad.ir.emit import apply
from graphad.ir.graph import Graph
from graphad.ir.types import TensorType
from graphad.ops.arithmetic import PowerScalar
from graphad.ops.cast import Cast
from graphad.ops.joining import Concatenate
from graphad.ops.shape import BroadcastTo, Flip, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice

R = ga.spec((3, 4))
S = ga.spec((3, 3))
V = ga.spec(4)
F32 = ga.spec((3, 4), "float32")
I = ga.spec((3, 4), "int64")  # noqa: E741
B = ga.spec((3, 4), "bool")
SCALAR = ga.spec(())
LONG = ga.spec((9, 4))
STACK = ga.spec((2, 9, 4))
S4 = ga.spec((4, 4))


@dataclass(frozen=True)
class Example:
    """A function, the types of its arguments, and how it is optimised."""

    function: Callable[..., Any]
    types: tuple[TensorType, ...]
    fast_math: bool = False
    gradient: bool = False

    def graph(self) -> Graph:
        """Return the traced graph, differentiated if the rule is about derivatives."""
        graph = ga.trace(self.function, *self.types, name="example")
        if not self.gradient:
            return graph
        return ga.value_and_grad(graph)


def plain(function: Callable[..., Any], *types: TensorType) -> Example:
    return Example(function, types)


def fast(function: Callable[..., Any], *types: TensorType) -> Example:
    return Example(function, types, fast_math=True)


def derived(function: Callable[..., Any], *types: TensorType) -> Example:
    return Example(function, types, gradient=True)


def power(x: Any, exponent: float) -> Any:
    return apply(PowerScalar(exponent), x)


def softmax(x: Any) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def in_derivative(x: Any) -> Any:
    with ga.role("backward"):
        return ops.stop_gradient(x) * x


EXAMPLES: dict[str, Example] = {
    # algebra: neutral elements
    "mul_one": plain(lambda x: x * 1, R),
    "div_one": plain(lambda x: x / 1, R),
    "add_zero": plain(lambda x: x + 0, I),
    "sub_zero": plain(lambda x: x - 0.0, R),
    "power_one": plain(lambda x: power(x, 1), R),
    "power_zero": plain(lambda x: power(x, 0) + x, R),
    "integer_mul_zero": plain(lambda x: x * 0 + x, I),
    "integer_sub_self": plain(lambda x, y: (x - x) * y, I, I),
    "idempotent": plain(lambda x: np.maximum(x, x), R),
    "square": plain(lambda x: power(x, 2), R),
    "double": plain(lambda x: x + x, R),
    "divide_by_power_of_two": plain(lambda x: x / 4, R),
    "mul_exact_numbers": plain(lambda x: (x * 3) * -2, R),
    # algebra: signs
    "neg_neg": plain(lambda x: np.negative(-x), R),
    "mul_minus_one": plain(lambda x: x * -1, R),
    "add_neg": plain(lambda x, y: x + (-y), R, R),
    "sub_neg": plain(lambda x, y: x - (-y), R, R),
    "minus_zero_sub": plain(lambda x: 0 - x, I),
    "mul_signs": plain(lambda x, y: (-x) * (-y), R, R),
    "div_signs": plain(lambda x, y: (-x) / (-y), R, R),
    "neg_mul_number": plain(lambda x: (-x) * 3, R),
    "neg_of_mul_number": plain(lambda x: -(x * 3), R),
    "neg_div_number": plain(lambda x: (-x) / 3, R),
    "number_div_neg": plain(lambda x: 3 / (-x), R),
    "neg_into_number": plain(lambda x, y: (-x) * (y * 3), R, R),
    "add_neg_mul": plain(lambda x, y, z: (-x) * y + z, R, R, R),
    "sub_neg_mul": plain(lambda x, y, z: z - (-x) * y, R, R, R),
    "add_neg_div": plain(lambda x, y, z: z + (-x) / y, R, R, R),
    "abs_sign": plain(lambda x: abs(-x), R),
    "even_function": plain(lambda x: np.cos(-x), R),
    "square_of_sign": plain(lambda x: abs(x) * abs(x), R),
    # algebra: choices and logic
    "where_same": plain(lambda c, x: np.where(c, x, x), B, R),
    "where_known": plain(lambda x, y: np.where(True, x, y), R, R),
    "where_not": plain(lambda c, x, y: np.where(np.logical_not(c), x, y), B, R, R),
    "where_twice_true": plain(lambda c, x, y, z: np.where(c, np.where(c, x, y), z), B, R, R, R),
    "where_twice_false": plain(lambda c, x, y, z: np.where(c, x, np.where(c, y, z)), B, R, R, R),
    "not_not": plain(lambda c: ~(~c), B),
    "not_equal_to": plain(lambda x, y: np.logical_not(x == y), R, R),
    "not_unequal_to": plain(lambda x, y: np.logical_not(x != y), R, R),
    "logical_same": plain(lambda c: np.logical_and(c, c), B),
    "and_known": plain(lambda c: np.logical_and(c, True), B),
    "or_known": plain(lambda c: np.logical_or(c, False), B),
    # algebra: casts and copies
    "cast_same": plain(lambda x: apply(Cast(np.dtype(np.float64)), x), R),
    "cast_cast": plain(lambda x: x.astype("float64").astype("float32"), F32),
    "derived_stop_gradient": plain(in_derivative, R),
    "unary_of_broadcast": plain(lambda x: np.exp(np.broadcast_to(x, (3, 4))), V),
    "binary_of_broadcast": plain(lambda x, y: np.broadcast_to(x, (3, 4)) * np.broadcast_to(y, (3, 4)), V, V),
    "ternary_of_broadcast": plain(
        lambda c, x: np.where(np.broadcast_to(c, (3, 4)), np.broadcast_to(x, (3, 4)), 0.0), ga.spec(4, "bool"), V
    ),
    # algebra: movement
    "reshape_same": plain(lambda x: apply(Reshape((3, 4)), x), R),
    "reshape_reshape": plain(lambda x: x.reshape(12).reshape(2, 6), R),
    "transpose_same": plain(lambda x: apply(Transpose((0, 1)), x), R),
    "transpose_transpose": plain(lambda x: x.T.T, R),
    "transpose_of_ones": plain(lambda x: x.T, ga.spec((1, 4))),
    "broadcast_same": plain(lambda x: apply(BroadcastTo((3, 4)), x), R),
    "broadcast_broadcast": plain(lambda x: np.broadcast_to(np.broadcast_to(x, (3, 4)), (2, 3, 4)), V),
    "broadcast_of_leading_ones": plain(lambda x: np.broadcast_to(x.reshape(1, 4), (3, 4)), V),
    "reshape_of_broadcast": plain(lambda x: np.broadcast_to(x, (3, 4)).reshape(12), SCALAR),
    "transpose_of_broadcast": plain(lambda x: np.broadcast_to(x, (3, 4)).T, SCALAR),
    "slice_of_broadcast": plain(lambda x: np.broadcast_to(x, (3, 4))[1:], SCALAR),
    "flip_flip": plain(lambda x: apply(Flip((0,)), apply(Flip((0,)), x)), R),
    "flip_of_ones": plain(lambda x: apply(Flip((0,)), x), ga.spec((1, 4))),
    "flip_of_broadcast": plain(lambda x: np.flip(np.broadcast_to(x, (3, 4))), SCALAR),
    "reduction_of_ones": plain(lambda x: np.max(x, axis=0), ga.spec((1, 4))),
    "slice_all": plain(lambda x: apply(Slice((0, 0), (3, 4), (1, 1)), x), R),
    "slice_slice": plain(lambda x: x[1:][:, 1:3], R),
    "slice_of_concatenate": plain(lambda x, y: np.concatenate([x, y])[3:5], R, R),
    "concatenate_one": plain(lambda x: apply(Concatenate(0), x), R),
    "concatenate_slices": plain(lambda x: np.concatenate([x[:1], x[1:]]), R),
    "pad_nothing": plain(lambda x: apply(Pad((0, 0), (0, 0), (0, 0)), x), R),
    # fast_math
    "mul_zero": fast(lambda x: x * 0 + x, R),
    "add_positive_zero": fast(lambda x: x + 0, R),
    "zero_sub": fast(lambda x: 0 - x, R),
    "sub_self": fast(lambda x: x - x, R),
    "div_self": fast(lambda x: x / x, R),
    "neg_sub": fast(lambda x, y: -(x - y), R, R),
    "cancel_factor": fast(lambda x, y: (x / y) * y, R, R),
    "cancel_term": fast(lambda x, y: (x + y) - y, R, R),
    "mul_numbers": fast(lambda x: (x * 3) * 5, R),
    "add_numbers": fast(lambda x: (x + 3) + 5, R),
    "sub_numbers": fast(lambda x: (x - 3) - 5, R),
    "gather_numbers": fast(lambda x, y: (x * 3) * (y * 5), R, R),
    "div_number": fast(lambda x: x / 3, R),
    "factor_sum": fast(lambda x, y, z: x * y + x * z, R, R, R),
    "factor_difference": fast(lambda x, y, z: x * y - x * z, R, R, R),
    "div_by_quotient": fast(lambda x, y, z: x / (y / z), R, R, R),
    "mul_reciprocal": fast(lambda x, y: x * (1 / y), R, R),
    "exp_log": fast(lambda x: np.exp(np.log(x)), R),
    "exp_sum": fast(lambda x, y: np.exp(x) * np.exp(y), R, R),
    "power_half": fast(lambda x: power(x, 0.5), R),
    "power_minus_one": fast(lambda x: power(x, -1), R),
    "cube": fast(lambda x: power(x, 3), R),
    "fourth_power": fast(lambda x: power(x, 4), R),
    # stabilize
    "softplus_of_log": plain(lambda x: np.log(1 + np.exp(x)), R),
    "log_of_two": plain(lambda x, y: np.log(np.exp(x) + np.exp(y)), R, R),
    "log1p_of_log": plain(lambda x: np.log(1 + x), R),
    "log1p_of_difference": plain(lambda x: np.log(1 - x), R),
    "expm1_of_exp": plain(lambda x: np.exp(x) - 1, R),
    "negative_expm1": plain(lambda x: 1 - np.exp(x), R),
    "log_exp": plain(lambda x: np.log(np.exp(x)), R),
    "expm1_log1p": plain(lambda x: np.expm1(np.log1p(x)), R),
    "sigmoid_of_quotient": plain(lambda x: np.exp(x) / (1 + np.exp(x)), R),
    "sigmoid_of_reciprocal": plain(sigmoid, R),
    "one_minus_sigmoid": plain(lambda x: 1 - sigmoid(x), R),
    "log_sigmoid": plain(lambda x: np.log(sigmoid(x)), R),
    "log1p_sigmoid": plain(lambda x: np.log1p(-sigmoid(x)), R),
    "sigmoid_times_exp": derived(lambda x: np.sum(np.log(1 + np.exp(x))), R),
    "log_sum_exp": plain(lambda x: np.log(np.sum(np.exp(x), axis=1)), R),
    "softmax_of_quotient": plain(softmax, R),
    "softmax_derivative": derived(lambda x: np.sum(np.log(np.sum(np.exp(x), axis=1))), R),
    "cancel_positive": derived(lambda x: np.sum(np.log(softmax(x))[:, 0]), R),
    "log_of_moved_exp": plain(lambda x: np.log(softmax(x)[:, 0]), R),
    "log_of_multiple_of_exp": plain(lambda x: np.log(np.mean(np.exp(x), axis=1)), R),
    "log_of_one_minus_exp": plain(lambda x: np.log(1 - np.exp(x)), R),
    "div_by_reciprocal": plain(lambda x, y: y / (1 / np.exp(x)), R, R),
    "square_of_sqrt": plain(lambda x: np.sqrt(x) ** 2, R),
    "sqrt_cancels": derived(lambda x: np.sum(np.sqrt(x) ** 2), R),
    "x_log_x": plain(lambda x: x * np.log(x), R),
    "x_log_x_scaled": plain(lambda x, y: (y * x) * np.log(x), R, R),
    "x_log_x_derivative": derived(lambda x: np.sum(x * np.log(x)), R),
    "norm_derivative": derived(lambda x: np.sqrt(np.sum(x * x)), R),
    # contract
    "product_of_transposes": plain(lambda x, y: x.T @ y.T, ga.spec((3, 4)), ga.spec((5, 3))),
    "transpose_of_left": plain(lambda x, y: (x.T @ y).T, R, ga.spec((3, 5))),
    "transpose_of_right": plain(lambda x, y: (x @ y.T).T, R, ga.spec((5, 4))),
    "transposes_cancel": plain(lambda x, y, z: (x.T @ y.T).T @ z, R, ga.spec((5, 3)), V),
    "scalar_of_left": plain(lambda x, y: (x * 3) @ y, ga.spec((8, 9)), ga.spec((9, 2))),
    "scalar_of_right": plain(lambda x, y: x @ (y * 3), ga.spec((2, 9)), ga.spec((9, 8))),
    "scalar_of_sum": plain(lambda x: np.sum(x * 3), R),
    "neg_of_sum": plain(lambda x: np.sum(-np.exp(x), axis=1), R),
    "sum_of_pad": plain(lambda x: np.sum(np.pad(x, 1), axis=1), R),
    "sum_of_broadcast": plain(lambda x: np.sum(np.broadcast_to(x, (3, 4)), axis=0), V),
    "sum_of_ones": plain(lambda x: np.sum(x, axis=0), ga.spec((1, 4))),
    "sum_sum": plain(lambda x: np.sum(np.sum(x, axis=0), axis=0), R),
    "sum_of_product": plain(lambda x, y: np.sum(x @ y, axis=(0, 1)), ga.spec((2, 3, 4)), ga.spec((2, 4, 5))),
    "equal_terms": plain(lambda x, y: (y + x) + x, R, R),
    "one_more_term": plain(lambda x: x * 3 + x, R),
    "one_more_equal_term": plain(lambda x, y: (y + x * 3) + x, R, R),
    # contract: narrowing
    "part_of_elementwise": plain(lambda x, y: np.exp(x * y)[np.array([2, 0])], LONG, LONG),
    "part_of_reduction": plain(lambda x: np.sum(np.exp(x), axis=1)[np.array([2, 0])], LONG),
    "part_of_product": plain(lambda x, y: (x @ y)[np.array([2, 0])], LONG, ga.spec((4, 5))),
    "part_of_flat_product": plain(ga.vmap(lambda x, y: (x @ y)[np.array([2, 0])], in_axes=(0, None)), STACK, S4),
    "part_of_broadcast": plain(lambda x: np.broadcast_to(x, (2, 9, 4))[:, 1:3], ga.spec((9, 4))),
    "part_of_transpose": plain(lambda x: np.exp(x).T[np.array([2, 0])], ga.spec((4, 9))),
    "part_of_reshape": plain(lambda x: np.exp(x).reshape(9, 2, 2)[np.array([2, 0])], LONG),
}
