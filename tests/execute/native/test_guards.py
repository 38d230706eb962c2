"""Positions known only at run time: what native code refuses, what it says, and what a refused call leaves behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import graphad as ga

pytest.importorskip("llvmlite")

from graphad import ops
from graphad.execute import Executable
from graphad.execute.native.addresses import Guard
from graphad.execute.native.program import HostStep, Step
from graphad.execute.native.walker import ALONE, BARRIER, HEEDS
from graphad.ir.errors import ExecutionError
from tests.execute.native.both_executors import THREADS, arrays_of, check, same_bits, share_everything

RNG = np.random.default_rng(7)
KINDS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def natively(function, *arrays, threads=1, **settings):
    graph = ga.optimize(ga.trace(function, *arrays))
    return ga.compile(graph, executor="native", threads=threads, wait=True, **settings)


def refusal(exe, *arrays):
    """Return what a call raises: its class and text, and those of its cause."""
    with pytest.raises(ExecutionError) as caught:
        exe(*arrays)
    cause = caught.value.__cause__
    return type(caught.value), str(caught.value), type(cause), str(cause)


def assert_refused_alike(function, good, bad, threads=THREADS):
    """Run good arrays, then each set of bad ones, then the good ones again, on both executors."""
    graph = ga.optimize(ga.trace(function, *good))
    plain = Executable(graph, executor="reference")
    wanted = arrays_of(plain(*good))
    for count in threads:
        exe = Executable(graph, executor="native", threads=count).wait()
        assert exe.straight is not None
        for arrays in bad:
            assert refusal(exe, *arrays) == refusal(plain, *arrays)
            assert all(np.allclose(a, b) for a, b in zip(arrays_of(exe(*good)), wanted, strict=True))


def rows(x, i):
    return x[i] * 2.0


def sums(x, v, i):
    return ops.scatter_add(x, (i,), v)


def puts(x, v, i):
    return ops.scatter_set(x, (i,), v)


def pairs(x, i, j):
    return x[i, j] + 1.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 7, 5000])
def test_positions_of_every_dtype(kind, length, monkeypatch):
    share_everything(monkeypatch)
    size = 100
    x, v = RNG.normal(size=(size, 3)), RNG.normal(size=(length, 3))
    limits = np.iinfo(kind)
    low, high = max(-size, limits.min), min(size - 1, limits.max)
    index = RNG.integers(low, high, size=length, endpoint=True).astype(kind)
    index[:1], index[-1:] = low, high
    check(rows, x, index)
    check(sums, x, v, index)
    bad = []
    for wrong in (-size - 1, size, limits.min, limits.max, int(limits.max) // 2 + 1):
        if limits.min <= wrong <= limits.max and not -size <= wrong < size:
            for place in {0, length // 2, length - 1}:
                other = index.copy()
                other[place] = wrong
                bad.append(other)
    assert_refused_alike(rows, (x, index), [(x, b) for b in bad], (1, 3))
    assert_refused_alike(sums, (x, v, index), [(x, v, b) for b in bad[:2]], (1, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_no_guard_where_no_position_of_the_dtype_is_outside(kind):
    x = RNG.normal(size=1 << 16)
    index = RNG.integers(0, 100, size=50).astype(kind)
    exe = natively(lambda x, i: x[i], x, index)
    guarded = any(isinstance(node.op, Guard) for node in exe.plan.graph.nodes)
    assert guarded == (kind not in ("int8", "uint8", "int16", "uint16"))
    np.testing.assert_array_equal(exe(x, index), x[index])
    if np.iinfo(kind).min < 0:
        np.testing.assert_array_equal(exe(x, -index), x[-index])


@pytest.mark.parametrize("function", [sums, puts])
def test_scatters_refuse(function, monkeypatch):
    share_everything(monkeypatch)
    x, v = RNG.normal(size=(40, 200)), RNG.normal(size=(9, 200))
    index = RNG.integers(-40, 40, size=9)
    wrong = [np.where(np.arange(9) == k, bad, index) for k, bad in ((0, 40), (8, -41), (4, 2**62), (5, -(2**63)))]
    assert_refused_alike(function, (x, v, index), [(x, v, w) for w in wrong])


def test_two_axes_are_looked_at_in_order(monkeypatch):
    share_everything(monkeypatch)
    x = RNG.normal(size=(6, 9))
    i, j = RNG.integers(-6, 6, size=(4, 5)), RNG.integers(-9, 9, size=(4, 5))
    a, b = i.copy(), j.copy()
    a[2, 3], b[0, 0] = 6, -10
    assert_refused_alike(pairs, (x, i, j), [(x, a, j), (x, i, b), (x, a, b)])


def test_one_column_a_row_refuses(monkeypatch):
    share_everything(monkeypatch)

    def loss(x, labels):
        rows = np.arange(len(x))
        return -np.mean(np.log(x)[rows, labels])

    x = RNG.uniform(0.1, 1.0, size=(300, 11))
    labels = RNG.integers(0, 11, size=300)
    wrong = np.where(np.arange(300) == 299, 11, labels)
    assert_refused_alike(loss, (x, labels), [(x, wrong), (x, -labels - 1 - (labels == labels.max()))])
    assert_refused_alike(ga.value_and_grad(loss), (x, labels), [(x, wrong)])


def test_of_several_guards_the_first_is_heard(monkeypatch):
    share_everything(monkeypatch)

    def chain(x, y, i, j):
        return np.sum(x[i]) + np.sum(y[j] ** 2) + np.sum(x[j])

    x, y = RNG.normal(size=50), RNG.normal(size=30)
    i, j = RNG.integers(0, 30, size=20), RNG.integers(0, 30, size=3000)
    bad = (i + 50, i - 90), (j + 30, j + 50)
    sets = [(x, y, bad[0][0], bad[1][0]), (x, y, i, bad[1][1]), (x, y, bad[0][1], bad[1][1]), (x, y, i, bad[1][0])]
    assert_refused_alike(chain, (x, y, i, j), sets)


def test_positions_that_depend_on_what_was_read(monkeypatch):
    share_everything(monkeypatch)

    def jump(links, x, start):
        for _ in range(4):
            start = links[start]
        return x[start]

    links, x = RNG.permutation(100), RNG.normal(size=100)
    start = RNG.integers(0, 100, size=30)
    broken = links.copy()
    broken[start[3]] = 1000
    assert_refused_alike(jump, (links, x, start), [(broken, x, start), (links, x, start + 100)])


def test_numbers_as_positions():
    x = RNG.normal(size=(5, 3))
    assert_refused_alike(rows, (x, np.int64(3)), [(x, np.int64(5)), (x, np.int64(-6))])
    check(rows, x, np.array(-2))
    check(rows, x, np.array([[[4]]]))


def test_no_positions_at_all():
    x, none = RNG.normal(size=(5, 3)), np.zeros(0, np.int64)
    for function, arrays in (
        (rows, (x, none)),
        (sums, (x, np.zeros((0, 3)), none)),
        (puts, (x, np.zeros((0, 3)), none)),
    ):
        check(function, *arrays)
        assert natively(function, *arrays).straight is not None
    check(lambda x, i: np.sum(x[i]) + np.sum(x), x, none)
    check(rows, np.zeros((4, 0)), np.array([0, 3]))
    check(rows, np.zeros((0, 3)), none)
    exe = natively(rows, np.zeros((0, 3)), np.array([0]))
    with pytest.raises(ExecutionError, match="out of bounds for axis 0 with size 0"):
        exe(np.zeros((0, 3)), np.array([0]))


def step(weights, total, i, v):
    """A training step of sorts: rows of the weights that are read change, and all calls are counted."""
    picked = weights[i]
    return {
        "weights": ops.scatter_add(weights, (i,), v - 0.1 * picked),
        "total": total + 1.0,
        "loss": np.sum(picked**2),
    }


@pytest.mark.parametrize("width", [3, 500])
@pytest.mark.parametrize("threads", THREADS)
def test_a_refused_call_leaves_state_as_it_was(threads, width, monkeypatch):
    if width > 3:
        share_everything(monkeypatch)
    weights, total = RNG.normal(size=(60, width)), np.zeros(())
    i, v = RNG.integers(0, 60, size=40), RNG.normal(size=(40, width))
    both = [
        ga.compile(
            ga.optimize(ga.trace(step, weights, total, i, v)),
            updates={"weights": "weights", "total": "total"},
            state={"weights": weights, "total": total},
            executor=executor,
            threads=threads,
            wait=True,
        )
        for executor in ("reference", "native")
    ]
    for k in range(4):
        wrong = i.copy()
        wrong[k * 13] = (60, -61, 2**40, -(2**63))[k]
        losses = [exe(i, v)["loss"] for exe in both]
        np.testing.assert_allclose(losses[0], losses[1])
        before = both[1].state
        assert refusal(both[1], wrong, v) == refusal(both[0], wrong, v)
        after = both[1].state
        assert after["total"] == k + 1
        assert all(np.array_equal(after[name], before[name]) for name in before)
    np.testing.assert_allclose(both[1].state["weights"], both[0].state["weights"])


def test_threads_meet_between_the_last_guard_and_what_writes_state(monkeypatch):
    share_everything(monkeypatch)
    big, x, i = np.zeros(100_000), RNG.normal(size=50), RNG.integers(0, 50, size=20)
    exe = natively(
        lambda big, x, i: {"big": big + 1.0, "out": x[i]},
        big,
        x,
        i,
        threads=2,
        updates={"big": "big"},
        state={"big": big},
    )
    program = exe._native_program()
    flags = program._steps.steps["flags"]
    guard = max(k for k, step in enumerate(program.order) if isinstance(step.node.op, Guard))
    (writes,) = np.flatnonzero(flags & HEEDS)
    assert guard < writes
    assert not flags[writes] & ALONE
    assert np.any(flags[guard + 1 : writes + 1] & BARRIER)
    for _ in range(20):
        refusal(exe, x, i + 50)
    exe(x, i)
    np.testing.assert_array_equal(exe.state["big"], np.ones(100_000))


@pytest.mark.parametrize("width", [2, 400])
def test_calls_of_many_threads_at_once(width, monkeypatch):
    share_everything(monkeypatch)
    weights, total = np.zeros((50, width)), np.zeros(())
    good, v = RNG.integers(0, 50, size=30), np.ones((30, width))
    wrong = np.where(np.arange(30) == 17, -51, good)

    def count(weights, total, i, v):
        return {"weights": ops.scatter_add(weights, (i,), v), "total": total + 1.0, "out": weights[i] * 0.0}

    exe = ga.compile(
        ga.optimize(ga.trace(count, weights, total, good, v)),
        updates={"weights": "weights", "total": "total"},
        state={"weights": weights, "total": total},
        executor="native",
        threads=2,
        wait=True,
    )
    odd = []

    def work(k):
        for turn in range(60):
            bad = (turn + k) % 3 == 0
            try:
                found = exe(wrong if bad else good, v)
            except ExecutionError as error:
                if not bad or "index -51 is out of bounds for axis 0 with size 50" not in str(error):
                    odd.append(error)
            else:
                if bad or np.any(found["out"]):
                    odd.append(found)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not odd
    assert exe.state["total"] == 4 * 40
    np.testing.assert_array_equal(exe.state["weights"][:, 0], 4 * 40 * np.bincount(good, minlength=50))


def test_host_steps_between_guards():
    def mixed(x, i, j):
        picked = x[i]
        return np.linalg.cholesky(picked.T @ picked + np.eye(3)), np.linalg.inv(x[j] + 3.0 * np.eye(3))

    x = RNG.normal(size=(8, 3)) * 0.1
    i, j = RNG.integers(0, 8, size=12), np.array([1, 2, 3])
    graph = ga.optimize(ga.trace(mixed, x, i, j))
    plain, exe = Executable(graph, executor="reference"), natively(mixed, x, i, j)
    for _ in range(2):
        for bad in ((x, i + 8, j), (x, i, j + 8), (x, i - 17, j - 20)):
            assert refusal(exe, *bad)[1:] == refusal(plain, *bad)[1:]
        assert all(np.allclose(a, b) for a, b in zip(exe(x, i, j), plain(x, i, j), strict=True))


def test_a_guard_is_native_and_is_reported():
    x, i = RNG.normal(size=100), RNG.integers(0, 100, size=50)
    exe = natively(lambda x, i: x[i] * 2.0, x, i)
    program = exe._native_program()
    assert [s for s in program.order if isinstance(s, HostStep)] == []
    assert sum(isinstance(s.node.op, Guard) for s in program.order if isinstance(s, Step)) == 1
    assert "guard" in exe.report()
    assert refusal(exe, x, i + 100)[0] is ExecutionError
    with pytest.raises(ExecutionError, match="out of bounds for axis 0 with size 100"):
        exe.profile(x, i + 100)
    assert "guard" in str(exe.profile(x, i))


def test_the_line_of_the_reader_is_named():
    x, i = RNG.normal(size=10), RNG.integers(0, 10, size=5)
    exe = natively(lambda x, i: x[i], x, i)
    with pytest.raises(ExecutionError) as caught:
        exe(x, i + 10)
    assert caught.value.location is not None
    assert "test_guards.py" in str(caught.value)
    assert "gather(f64[10], i64[5]) failed: index" in str(caught.value)


def test_results_do_not_depend_on_threads(monkeypatch):
    share_everything(monkeypatch)
    x, i = RNG.normal(size=(1000, 4)), RNG.integers(-1000, 1000, size=20000)
    runs = [arrays_of(natively(ga.grad(lambda x, i: np.sum(x[i] ** 3)), x, i, threads=n)(x, i)) for n in THREADS]
    assert all(same_bits(runs[0], other) for other in runs[1:])
