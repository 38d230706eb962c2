"""Entries: what they take, what they give back, what they leave behind, and what they hand on."""

from __future__ import annotations

import dataclasses
import gc
import os
import pickle
import subprocess
import sys
import sysconfig
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from graphad.execute.native import entry as entry_module
from graphad.execute.native.entry import Entry, entry, possible
from graphad.execute.native.threads import pool
from graphad.execute.native.walker import step_table
from graphad.ir.containers import Container, Leaf, flatten
from tests.execute.native import runtime_kernels as kernels

pytestmark = pytest.mark.skipif(not possible(2, 2), reason="this interpreter has no entries in machine code")

Array = np.ndarray[Any, Any]
F8 = np.dtype("f8")


class Handed:
    """A fallback that notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, /, *arguments: Any, **keywords: Any) -> str:
        self.calls.append((arguments, keywords))
        return "handed on"


def both(
    fallback: Callable[..., Any],
    shape: tuple[int, ...] = (10,),
    *,
    results: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
    brief: bool = True,
    arguments: Container | None = None,
    result: Container | None = None,
) -> Entry:
    """Return an entry for ``(x, y) -> (x + y, x * y)``."""
    pointers = np.zeros(4, np.uint64)
    row = (kernels.address("both"), pointers.ctypes.data, 0, int(np.prod(shape)), 1, 0)
    table = step_table([row], brief=brief, kept=(pointers, kernels.loaded()))
    patches = [(k, pointers.ctypes.data + 8 * k, 0) for k in range(4)]
    return entry(pool(), table, [(F8, shape)] * 2, results or [(F8, shape)] * 2, patches, fallback, arguments, result)


@pytest.fixture
def arrays() -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    return random.normal(size=10), random.normal(size=10)


def check(found: Any, x: Any, y: Any) -> None:
    total, product = found
    for array, expected in ((total, x + y), (product, x * y)):
        assert type(array) is np.ndarray
        assert array.dtype is F8
        assert array.flags.owndata
        assert array.flags.writeable
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("brief", [True, False])
@pytest.mark.parametrize("shape", [(10,), (2, 5), (2, 3, 4), (), (0,), (3, 0)])
def test_results(shape: tuple[int, ...], brief: bool) -> None:
    handed = Handed()
    call = both(handed, shape, brief=brief).call
    random = np.random.default_rng(1)
    for _ in range(3):
        x, y = np.asarray(random.normal(size=shape)), np.asarray(random.normal(size=shape))
        found = call(x, y)
        assert type(found) is tuple
        assert found[0].shape == shape
        check(found, x, y)
    assert not handed.calls


def test_results_are_new_each_time(arrays: tuple[Array, Array]) -> None:
    call = both(Handed()).call
    x, y = arrays
    first = call(x, y)
    before = [array.copy() for array in first]
    second = call(y * 2, x)
    assert not any(np.shares_memory(a, b) for a in first for b in (*second, x, y))
    assert all(np.array_equal(a, b) for a, b in zip(first, before, strict=True))


def test_a_single_result_is_an_array_and_patches_have_offsets() -> None:
    # The kernel adds and multiplies; only the sums leave, and each operand begins at its second element.
    pointers = np.zeros(4, np.uint64)
    products = np.zeros(4)
    pointers[3] = products.ctypes.data
    row = (kernels.address("both"), pointers.ctypes.data, 0, 4, 1, 0)
    table = step_table([row], brief=True, kept=(pointers, products))
    places = [pointers.ctypes.data + 8 * k for k in range(3)]
    patches = np.array([(0, places[0], 8), (0, places[1], 0), (1, places[2], 0)])
    call = entry(pool(), table, [(F8, (5,))], [(F8, (4,))], patches, Handed(), result=Leaf()).call
    x = np.arange(5.0) ** 2
    found = call(x)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, x[1:] + x[:-1])
    np.testing.assert_array_equal(products, x[1:] * x[:-1])


def test_state_stays_in_the_program() -> None:
    # total is state: total, product = total + x, total * x, where product is the result.
    total = np.zeros(3)
    pointers = np.zeros(4, np.uint64)
    pointers[0] = pointers[2] = total.ctypes.data
    table = step_table(
        [(kernels.address("both"), pointers.ctypes.data, 0, 3, 1, 0)], brief=True, kept=(pointers, total)
    )
    patches = [(0, pointers.ctypes.data + 8, 0), (1, pointers.ctypes.data + 24, 0)]
    call = entry(pool(), table, [(F8, (3,))], [(F8, (3,))], patches, Handed(), result=Leaf()).call
    for k in range(4):
        call(np.full(3, 1.0 + k))
    np.testing.assert_array_equal(total, np.full(3, 10.0))


def test_no_results_and_no_inputs() -> None:
    out = np.zeros(4, np.int64)
    pointers = np.array([out.ctypes.data], np.uint64)
    table = step_table([(kernels.address("count"), pointers.ctypes.data, 0, 4, 1, 0)], scratch=8, kept=(pointers, out))
    call = entry(pool(), table, [], [], [], Handed()).call
    assert call() == ()
    assert call() == ()
    np.testing.assert_array_equal(out, np.full(4, 2))


@pytest.mark.parametrize("brief", [True, False])
def test_a_condemned_run_is_handed_on_and_forgotten(brief: bool) -> None:
    # The step counts up the word that condemns a run where it is not 0 afterwards.
    word = np.zeros(1, np.int64)
    pointers = np.array([word.ctypes.data], np.uint64)
    row = (kernels.address("count"), pointers.ctypes.data, 0, 1, 1, 0)
    table = step_table([row], scratch=8, brief=brief, condemned=word.ctypes.data, kept=(pointers, word))
    handed = Handed()
    made = entry(pool(), table, [(F8, (3,))], [(F8, (2,))], [], handed, nested(({"x": 0},)))
    x = np.zeros(3)
    count = sys.getrefcount(x)
    for k in range(50):
        assert made.call({"x": x}) == "handed on"
        assert word[0] == 0
        assert len(handed.calls) == k + 1
        assert made.claim.take()
        made.claim.give()
        word[0] = -1
        found = made.call({"x": x})
        assert type(found) is tuple
        assert word[0] == 0
    assert handed.calls[0][0][0]["x"] is x
    del found
    handed.calls.clear()
    assert sys.getrefcount(x) == count


def nested(value: Any) -> Container:
    """Return the nesting of an object whose leaves are numbers."""
    return flatten(value, lambda leaf: isinstance(leaf, int))[1]


RESULTS: list[Any] = [
    [0, 1],
    {"sum": 0, "product": 1},
    (0, None, [[1]]),
    {"a": {"b": (0,)}, "c": [None, {"d": 1}], "e": (), "f": {}},
    ((((0,), None),), None, 1),
]


@pytest.mark.parametrize("value", RESULTS, ids=str)
def test_results_are_nested(value: Any, arrays: tuple[Array, Array]) -> None:
    handed = Handed()
    call = both(handed, result=nested(value)).call
    x, y = arrays
    for _ in range(3):
        found = call(x, y)
        leaves, container = flatten(found, lambda leaf: isinstance(leaf, np.ndarray))
        assert container == nested(value)
        check(leaves, x, y)
    assert not handed.calls


class Pair(NamedTuple):
    """A container that Python puts together."""

    total: Any
    product: Any


def test_other_containers_are_built_by_python(arrays: tuple[Array, Array]) -> None:
    call = both(Handed(), result=nested({"both": Pair(0, 1)})).call
    x, y = arrays
    found = call(x, y)
    assert type(found["both"]) is Pair
    check(found["both"], x, y)


ARGUMENTS: list[tuple[Any, list[Any]]] = [
    # what fits: arrays stand at 0 and 1; then what does not
    (({"x": 0, "y": 1},), [({"x": 0},), ({"x": 0, "z": 1},), ({"x": 0, "y": 1, "z": 1},), ([0, 1],), (None,)]),
    (([0, 1],), [((0, 1),), ([0],), ([0, 1, 1],), (0,)]),
    (((0, (1,)),), [((0, [1]),), ((0, 1),), ((0, (1, 1)),)]),
    ((0, None, [{"y": 1}]), [(0, 0, [{"y": 1}]), (0, None, [{}]), (0, None, []), (0, None)]),
    (({"a": {"b": [0, None]}, "c": 1}, ()), [({"a": {"b": [0, 1]}, "c": 1}, ()), ({"a": 0, "c": 1}, ())]),
]


def filled(value: Any, leaves: Sequence[Any]) -> Any:
    """Put arrays in place of their numbers."""
    if isinstance(value, dict):
        return {key: filled(item, leaves) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(filled(item, leaves) for item in value)
    return None if value is None else leaves[value]


@pytest.mark.parametrize(("fits", "others"), ARGUMENTS, ids=str)
@pytest.mark.parametrize("brief", [True, False])
def test_arguments_are_nested(fits: Any, others: list[Any], brief: bool, arrays: tuple[Array, Array]) -> None:
    handed = Handed()
    call = both(handed, brief=brief, arguments=nested(fits)).call
    counts = list(map(sys.getrefcount, arrays))
    for _ in range(100):
        check(call(*filled(fits, arrays)), *arrays)
    assert not handed.calls
    for other in others:
        given = filled(other, arrays)
        assert call(*given) == "handed on"
        seen, keywords = handed.calls.pop()
        assert all(a is b for a, b in zip(seen, given, strict=True))
        assert not keywords
        del given, seen
    short = (arrays[0], arrays[1][:5])
    for _ in range(100):
        assert call(*filled(fits, short)) == "handed on"
        handed.calls.clear()
    del short
    assert list(map(sys.getrefcount, arrays)) == counts


def test_the_order_of_a_dict_does_not_matter(arrays: tuple[Array, Array]) -> None:
    handed = Handed()
    call = both(handed, arguments=nested(({"y": 1, "x": 0},))).call
    x, y = arrays
    names = [str(key) for key in nested(({"y": 1, "x": 0},)).children[0].keys]  # type: ignore[union-attr]
    first, second = (x, y) if names[0] == "x" else (y, x)
    check(call({"x": x, "y": y}), first, second)
    check(call({"y": y, "x": x}), first, second)

    class Odd:
        def __hash__(self) -> int:
            return hash("x")

        def __eq__(self, other: object) -> bool:
            raise LookupError("not comparable")

    assert call({Odd(): x, "y": y}) == "handed on"
    assert not handed.calls[0][1]


class Special(np.ndarray[Any, Any]):
    """An array class of a user's own."""


def test_whatever_is_not_as_described_is_handed_on(arrays: tuple[Array, Array]) -> None:
    x, y = arrays
    handed = Handed()
    call = both(handed).call
    misaligned = np.zeros(81, np.uint8)[1:].view(F8)
    odd: list[Any] = [
        x.astype("f4"),
        x.astype("i8"),
        x.view("c16"),
        x.astype(x.dtype.newbyteorder()),
        x.view("m8[s]"),
        x[:9],
        x.reshape(2, 5),
        x.reshape(1, 10),
        np.zeros(20)[::2],
        x[::-1],
        misaligned,
        x.view(Special),
        list(x),
        1.0,
        None,
        np.float64(1.0),
        "text",
    ]
    for value in odd:
        assert call(value, y) == "handed on"
        assert call(x, value) == "handed on"
        (arguments, keywords) = handed.calls[-1]
        assert arguments[0] is x
        assert arguments[1] is value
        assert not keywords
    assert len(handed.calls) == 2 * len(odd)
    for arguments, keywords in (((), {}), ((x,), {}), ((x, y, x), {}), ((x,), {"y": y}), ((), {"x": x, "y": y})):
        assert call(*arguments, **keywords) == "handed on"
        assert handed.calls[-1] == (arguments, keywords)
    check(call(x, y), x, y)
    check(call(misaligned.copy(), y), misaligned, y)


def test_columns_first_is_handed_on() -> None:
    handed = Handed()
    call = both(handed, (2, 5)).call
    x = np.arange(10.0).reshape(2, 5)
    assert call(x, np.asfortranarray(x)) == "handed on"
    check(call(x, x), x, x)


def test_copies_of_a_dtype_are_the_dtype(arrays: tuple[Array, Array]) -> None:
    x, y = arrays
    again = pickle.loads(pickle.dumps(x))
    other = np.frombuffer(x.tobytes(), np.dtype("f8", copy=True))
    assert other.dtype is not F8
    handed = Handed()
    for array in (again, other):
        check(both(handed).call(array, y), x, y)
    assert not handed.calls
    assert not other.flags.writeable


def test_numbers_stand_for_arrays_without_axes() -> None:
    handed = Handed()
    call = both(handed, ()).call
    for x in (np.asarray(1.5), 1.5, np.float64(1.5), float("inf"), float("nan")):
        total, product = call(x, 2.0)
        assert type(total) is np.ndarray
        assert total.shape == ()
        np.testing.assert_array_equal(total, np.add(x, 2.0))
        np.testing.assert_array_equal(product, np.multiply(x, 2.0))
    assert not handed.calls
    for odd in (1, True, np.float32(1.5), np.int64(2), 1j, np.ones(1)):
        assert call(odd, 2.0) == "handed on"


@pytest.mark.parametrize("kind", ["f4", "i4", "u1", "?", "c16", "f8"])
def test_scalars_are_stored_as_their_dtype(kind: str) -> None:
    # The kernel copies eight bytes a number: look at them.
    dtype = np.dtype(kind)
    pointers = np.zeros(1, np.uint64)
    out = np.zeros(2, np.int64)
    pointers[0] = out.ctypes.data
    sizes = np.zeros(1, np.uint64)
    table = step_table([(kernels.address("fetch"), pointers.ctypes.data, sizes.ctypes.data, 2, 1, 0)], brief=True)
    patches = [(0, sizes.ctypes.data, 0)]
    handed = Handed()
    call = entry(pool(), table, [(dtype, ())], [], patches, handed).call
    value = dtype.type(1)
    assert call(value) == ()
    assert out.view(np.uint8)[: dtype.itemsize].tobytes() == value.tobytes()
    assert call(1.25) == (() if kind in ("f4", "f8") else "handed on")
    if kind in ("f4", "f8"):
        assert out.view(dtype)[0] == 1.25
    if kind == "f4":
        assert call(1e300) == "handed on"
        assert call(float("-inf")) == ()
        assert out.view(dtype)[0] == -np.inf


def test_errors_pass_through(arrays: tuple[Array, Array]) -> None:
    x, y = arrays

    def refuse(*arguments: Any) -> None:
        raise LookupError("not like this")

    call = both(refuse).call
    with pytest.raises(LookupError, match="not like this"):
        call(x)
    check(call(x, y), x, y)

    @dataclasses.dataclass
    class Refuses:
        total: Any
        product: Any

        def __post_init__(self) -> None:
            if not isinstance(self.total, int):
                raise LookupError("not like this")

    call = both(Handed(), result=nested(Refuses(0, 1))).call
    for _ in range(3):
        with pytest.raises(LookupError, match="not like this"):
            call(x, y)


def test_memory_that_is_not_there_is_an_error(arrays: tuple[Array, Array]) -> None:
    x, y = arrays
    huge = (F8, (2**55,))
    shapes = [nested([0, 1]), nested({"a": 0, "b": [1]}), None]
    for results in ([huge, (F8, (10,))], [(F8, (10,)), huge]):
        calls = [both(Handed(), results=results, result=shape).call for shape in shapes]
        calls.append(both(Handed(), results=results, arguments=nested(({"x": 0}, [1]))).call)
        before = sys.getrefcount(F8), sys.getrefcount(x)
        for _ in range(100):
            for call in calls[:-1]:
                with pytest.raises(MemoryError):
                    call(x, y)
            with pytest.raises(MemoryError):
                calls[-1]({"x": x}, [y])
        assert abs(sys.getrefcount(F8) - before[0]) < 10
        assert sys.getrefcount(x) == before[1]
    pointers = np.zeros(4, np.uint64)
    table = step_table([(kernels.address("both"), pointers.ctypes.data, 0, 0, 1, 0)], brief=True)
    single = entry(pool(), table, [], [huge], [], Handed(), result=Leaf()).call
    with pytest.raises(MemoryError):
        single()


def test_refusals(arrays: tuple[Array, Array]) -> None:
    table = step_table([])
    for arguments in (Leaf(), nested(({1: 0},)), nested((Pair(0, 1),))):
        with pytest.raises(ValueError, match="cannot take"):
            entry(pool(), table, [(F8, ())], [], [], Handed(), arguments)
    with pytest.raises(ValueError, match="have 1 leaves"):
        entry(pool(), table, [(F8, ())], [], [], Handed(), nested((0, 1)))
    with pytest.raises(ValueError, match="have 0 leaves"):
        entry(pool(), table, [], [], [], Handed(), None, Leaf())
    with pytest.raises(ValueError, match="does not have"):
        entry(pool(), table, [(F8, ())], [], [(1, 0, 0)], Handed())
    with pytest.raises(ValueError, match="too many"):
        entry(pool(), table, [(F8, ())] * 5000, [], [], Handed())
    assert not possible(5000, 0)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_million_calls_leave_nothing_behind(arrays: tuple[Array, Array]) -> None:
    x, y = arrays
    kept = lambda *arguments: None  # noqa: E731
    plain, released = both(kept).call, both(kept, brief=False).call
    containers = both(kept, arguments=nested(([0], {"y": 1})), result=nested({"a": [0], "b": (None, 1)})).call
    busy = both(kept)

    def some(count: int) -> None:
        for _ in range(count):
            plain(x, y)
            containers([x], {"y": y})
            containers([x], {"y": None})
            released(x, y)
            busy.call(x)
        assert busy.claim.take()
        for _ in range(count):
            busy.call(x, y)
        busy.claim.give()

    some(2_000)
    objects = [x, y, F8, None, kept, list, (), np.ndarray]
    gc.collect()
    counts = [sys.getrefcount(o) for o in objects]
    tracemalloc.start()
    some(2_000)
    before = tracemalloc.get_traced_memory()[0]
    some(5_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert abs(after - before) < 2_000
    size = resident() if sys.platform == "linux" else 0
    some(200_000)
    if sys.platform == "linux":
        assert resident() - size < 4 << 20
    gc.collect()
    assert all(abs(sys.getrefcount(o) - c) < 100 for o, c in zip(objects, counts, strict=True))


def test_one_run_at_a_time(arrays: tuple[Array, Array]) -> None:
    x, y = arrays
    handed = Handed()
    made = both(handed)
    assert made.claim.take()
    assert not made.claim.take()
    assert made.call(x, y) == "handed on"
    made.claim.give()
    check(made.call(x, y), x, y)
    with made.claim.held():
        assert made.call(x, y) == "handed on"
    assert len(handed.calls) == 2
    check(made.call(x, y), x, y)


def awaiting(words: Array, fallback: Callable[..., Any]) -> Entry:
    """Return an entry that sets its first word, and ends when the second is set."""
    pointers = np.array([words.ctypes.data], np.uint64)
    table = step_table([(kernels.address("await"), pointers.ctypes.data, 0, 1, 1, 0)], kept=(pointers, words))
    return entry(pool(), table, [], [], [], fallback)


def test_long_runs_release_the_lock_and_others_wait_for_them() -> None:
    words = np.zeros(2, np.int64)
    order: list[str] = []

    def wait() -> str:
        order.append("handed on")
        words[1] = 1
        with made.claim.held():
            order.append("held")
        return "waited"

    made = awaiting(words, wait)
    first: list[Any] = []
    caller = threading.Thread(target=lambda: first.append(made.call()))
    caller.start()
    while not words[0]:  # the run is under way, and this thread goes on
        pass
    assert made.call() == "waited"
    caller.join()
    assert first == [()]
    assert order == ["handed on", "held"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_a_run_may_run_it_itself() -> None:
    words = np.zeros(2, np.int64)
    made = awaiting(words, Handed())
    caller = threading.Thread(target=made.call)
    caller.start()
    while not words[0]:
        pass
    child = os.fork()
    if child == 0:
        words[1] = 1
        os._exit(0 if made.call() == () else 1)
    assert os.waitpid(child, 0)[1] == 0
    words[1] = 1
    caller.join()


def test_entries_are_collected_with_what_they_refer_to(arrays: tuple[Array, Array]) -> None:
    class Owner:
        def __init__(self) -> None:
            self.entry = both(self.fallback)

        def fallback(self, *arguments: Any) -> str:
            return "handed on"

    owner = Owner()
    x, y = arrays
    check(owner.entry.call(x, y), x, y)
    gone = weakref.ref(owner)
    call = owner.entry.call
    del owner
    gc.collect()
    assert gone() is not None
    assert call(x) == "handed on"
    check(call(x, y), x, y)
    del call
    gc.collect()
    assert gone() is None


def test_an_executable_can_have_an_entry_as_its_call(arrays: tuple[Array, Array]) -> None:
    class Callable_:
        __slots__ = ("__call__",)

        def __init__(self, call: Callable[..., Any]) -> None:
            self.__call__ = call  # type: ignore[method-assign]

    handed = Handed()
    x, y = arrays
    exe = Callable_(both(handed).call)
    check(exe(x, y), x, y)  # type: ignore[operator]
    assert exe(x, y=y) == "handed on"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        (sys.implementation, "name", "other"),
        (np, "__version__", "3.0.0"),
        (entry_module.entry_code, "ARRAY_DATA", 24),
        (entry_module.entry_code, "DESCR_NUMBER", 32),
    ],
)
def test_unknown_layouts_are_found_out(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, value: Any) -> None:
    known = entry_module.layout_is_known.__wrapped__
    assert known()
    monkeypatch.setattr(target, name, value)
    assert not known()


def test_interpreters_without_a_lock_have_no_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1 if name == "Py_GIL_DISABLED" else None)
    assert not entry_module.layout_is_known.__wrapped__()


AT_EXIT = """
import sys, threading, time
sys.path.insert(0, {here!r})
import numpy as np
from tests.execute.native import test_entry

made = test_entry.both(lambda *a: None, (300_000,), brief=False)
x = np.ones(300_000)

def loop():
    while True:
        made.call(x, x)

threading.Thread(target=loop, daemon=True).start()
time.sleep(0.05)
print("end")
"""


def test_the_process_ends_cleanly_during_a_run() -> None:
    text = AT_EXIT.format(here=str(Path(__file__).parents[3]))
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
