"""The namespace beyond what its functions compute: names, signatures, inspection, and the array object."""

from __future__ import annotations

import inspect
import operator

import array_api_strict as strict
import numpy as np
import pytest
from cases import CASES, function_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.array_api import make_strategies_namespace

import graphad as ga

xp = ga.numpy

NOT_THE_STANDARDS = {
    "ArrayAPIStrictFlags",
    "Device",
    "__version__",
    "get_array_api_strict_flags",
    "reset_array_api_strict_flags",
    "set_array_api_strict_flags",
}
VALUES = {"__array_api_version__", "e", "fft", "inf", "linalg", "nan", "newaxis", "pi"}
DTYPES = {"bool", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)), "float32", "float64", "complex64"}
DTYPES |= {"complex128"}
TESTED_HERE = {"__array_namespace_info__", "broadcast_shapes", "from_dlpack", "isin"}


def test_every_name_of_the_standard_has_a_case() -> None:
    names = set(strict.__all__) - NOT_THE_STANDARDS - VALUES - DTYPES - TESTED_HERE
    names |= {f"linalg.{name}" for name in strict.linalg.__all__} | {f"fft.{name}" for name in strict.fft.__all__}
    assert names == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_signature(name: str) -> None:
    """What the standard calls by keyword has its name, and what it calls by position comes in its order."""
    wanted = inspect.signature(function_of(strict, name)).parameters.values()
    own = inspect.signature(function_of(xp, name)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in own.values()):  # a ufunc
        assert all(p.kind is p.POSITIONAL_ONLY for p in wanted)
        return
    by_keyword = {p.name for p in wanted if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    assert by_keyword <= set(own), by_keyword - set(own)
    positional = [p for p in own.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in wanted)
    assert len(positional) >= count or any(p.kind is p.VAR_POSITIONAL for p in positional)


def test_constants_and_dtypes() -> None:
    for name in ("e", "inf", "pi"):
        assert getattr(xp, name) == getattr(np, name)
    assert np.isnan(xp.nan) and xp.newaxis is None
    assert xp.__array_api_version__ == "2024.12"
    for name in DTYPES:
        assert xp.zeros(1, dtype=getattr(xp, name)).dtype == getattr(xp, name) == np.dtype(name)


def test_inspection() -> None:
    info, reference = xp.__array_namespace_info__(), strict.__array_namespace_info__()
    assert set(info.capabilities()) == set(reference.capabilities())
    assert info.default_device() in info.devices()
    for kind in (None, "bool", "integral", "signed integer", "real floating", "numeric", ("bool", "complex floating")):
        wanted = {name: dtype._np_dtype for name, dtype in reference.dtypes(kind=kind).items()}
        assert info.dtypes(kind=kind) == wanted
    assert {k: np.dtype(v) for k, v in info.default_dtypes().items()} == {
        k: v._np_dtype for k, v in reference.default_dtypes().items()
    }
    with pytest.raises(ValueError, match="no device"):
        info.dtypes(device="gpu")


def test_dlpack_both_ways() -> None:
    x = ga.tensor([[1.0, 2.0], [3.0, 4.0]])
    for exported in (np.from_dlpack(x), np.from_dlpack(strict.from_dlpack(x))):
        np.testing.assert_array_equal(exported, x.numpy())
    assert xp.from_dlpack(x) is x
    np.testing.assert_array_equal(xp.from_dlpack(np.arange(3)), np.arange(3))
    assert x.__dlpack_device__() == (1, 0)
    capsule = x.__dlpack__()  # the first version of the protocol: a copy
    assert "dltensor" in repr(capsule)
    with pytest.raises(BufferError):
        x.__dlpack__(copy=False)


def test_broadcast_shapes() -> None:
    assert xp.broadcast_shapes((3, 1), 4, (2, 1, 1)) == (2, 3, 4)
    assert xp.broadcast_shapes() == ()
    n = ga.dim("n")
    assert xp.broadcast_shapes((n, 1), (4,)) == (n, 4)
    with pytest.raises(ValueError, match="broadcast"):
        xp.broadcast_shapes((2,), (3,))


def test_isin() -> None:
    x = ga.tensor([[1.0, np.nan], [2.0, 5.0]])
    np.testing.assert_array_equal(xp.isin(x, ga.tensor([5.0, np.nan, 1.0])), [[True, False], [False, True]])
    np.testing.assert_array_equal(xp.isin(x, ga.tensor([5.0]), invert=True), [[True, True], [True, False]])
    np.testing.assert_array_equal(np.isin(x, []), np.zeros((2, 2), bool))


def test_attributes_of_arrays() -> None:
    x = ga.tensor(np.arange(6.0).reshape(1, 2, 3))
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"2024\.12"):
        x.__array_namespace__(api_version="2099.12")
    assert (x.ndim, x.shape, x.size, x.device) == (3, (1, 2, 3), 6, "cpu")
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="CPU"):
        x.to_device("gpu")
    np.testing.assert_array_equal(x.mT, x.numpy().mT)
    np.testing.assert_array_equal(x[0].T, x[0].numpy().T)
    assert (bool(x[0, 0, 1]), int(x[0, 1, 0]), float(x[0, 1, 1]), complex(x[0, 0, 2])) == (True, 3, 4.0, 2 + 0j)
    assert [10, 20][xp.asarray(1)] == 20


ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("apply", [*ARITHMETIC, *BITWISE, *COMPARISONS], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32", "float64"])
def test_operators(apply: object, dtype: str) -> None:
    assert callable(apply)
    if apply in BITWISE and dtype.startswith("float"):
        return
    a, b = np.array([1, 2, 7], dtype), np.array([[2, 3, 1], [1, 1, 2]], dtype)
    x, y = ga.tensor(a), ga.tensor(b)
    for found, wanted in ((apply(x, y), apply(a, b)), (apply(x, 2), apply(a, 2)), (apply(2, x), apply(2, a))):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("apply", [operator.neg, operator.pos, operator.abs, operator.invert])
def test_unary_operators(apply: object) -> None:
    assert callable(apply)
    a = np.array([1, -2, 7])
    np.testing.assert_array_equal(apply(ga.tensor(a)), apply(a))


@pytest.mark.parametrize(
    "name", ["iadd", "isub", "imul", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor", "ilshift"]
)
def test_in_place_operators_give_the_tensor_a_new_value(name: str) -> None:
    apply = getattr(operator, name)
    a, x = np.array([1, 2, 7]), ga.tensor([1, 2, 7])
    other, before = x, x + 0
    x = apply(x, 2)
    np.testing.assert_array_equal(x, apply(a.copy(), 2))
    assert other is x
    np.testing.assert_array_equal(before, a)


def test_in_place_products_and_quotients() -> None:
    x = ga.tensor([[1.0, 2.0], [3.0, 4.0]])
    x @= ga.tensor(np.eye(2) * 2)
    x /= 4
    np.testing.assert_array_equal(x, [[0.5, 1.0], [1.5, 2.0]])


INDICES = [
    0,
    -1,
    (1, 2),
    slice(None, None, -1),
    (..., 0),
    (None, slice(1, 2), ...),
    (slice(0, 0),),
    np.array([[True, False, True], [False, False, True]]),
    np.array([True, False]),
    (np.array([1, 0]), np.array([2, 0])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_reads_and_writes(index: object) -> None:
    a = np.arange(6.0).reshape(2, 3)
    x = ga.tensor(a)
    converted = (
        tuple(ga.tensor(i) if isinstance(i, np.ndarray) else i for i in index) if isinstance(index, tuple) else index
    )
    converted = ga.tensor(index) if isinstance(index, np.ndarray) else converted
    np.testing.assert_array_equal(x[converted], a[index])
    x[converted] = -1.0
    a[index] = -1.0
    np.testing.assert_array_equal(x, a)


def test_created_arrays_have_values() -> None:
    """What the namespace makes needs no `ga.tensor`."""
    x = xp.linspace(0, 1, 5)
    assert bool(xp.all(x[x > 0.5] == xp.asarray([0.75, 1.0])))
    assert float(xp.sum(xp.ones((2, 3)))) == 6.0
    assert xp.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert 3 in xp.arange(4)
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray([1, 2], copy=False)
    with pytest.raises(ValueError, match="no device"):
        xp.zeros(3, device="gpu")


def test_a_traced_array_is_one_of_the_namespace_too() -> None:
    def normalised(x):
        namespace = x.__array_namespace__()
        return x / namespace.linalg.vector_norm(x, keepdims=True)

    graph = ga.trace(normalised, np.ones(4))
    np.testing.assert_allclose(graph(np.ones(4)), np.full(4, 0.5))


XPS = make_strategies_namespace(xp)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(XPS.arrays(XPS.scalar_dtypes(), XPS.array_shapes()), st.data())
def test_hypothesis_makes_arrays_of_the_namespace(x: ga.Tensor, data: st.DataObject) -> None:
    """The consortium's test suite draws its arrays so."""
    index = data.draw(XPS.indices(x.shape))
    np.testing.assert_array_equal(x[index], x.numpy()[index])


def test_numbers_are_converted_once() -> None:
    assert xp.asarray([2**64 - 1, 1], dtype=xp.uint64).tolist() == [2**64 - 1, 1]
    assert int(xp.full((), 2**63 + 1, dtype=xp.uint64)) == 2**63 + 1
    assert xp.asarray([1, 2.5], dtype=xp.float32).dtype == xp.float32


def test_created_arrays_can_be_changed_in_place() -> None:
    x = xp.zeros((2, 3))
    other = x
    x += 2
    x *= xp.asarray([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(other, [[2.0, 4.0, 6.0]] * 2)
