"""The first calls on the reference executor, later ones on machine code: swaps, waiting, threads, forks, endings."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import graphad as ga
from graphad.execute.executable import Executable
from graphad.execute.native.program import NativeProgram
from graphad.ir.errors import ExecutionError


def function(x, y):
    return np.sum(np.exp(x) * y, axis=0), np.tanh(x) + y


X, Y = np.linspace(0, 1, 21).reshape(7, 3), np.linspace(1, 2, 21).reshape(7, 3)


def native(f, *examples, **settings):
    return ga.compile(f, *examples, executor="native", **settings)


def test_the_first_call_runs_at_once_and_later_ones_natively():
    exe = native(function, X, Y)
    assert not exe.compiled
    first = exe(X, Y)
    assert exe.wait() is exe and exe.compiled
    assert isinstance(exe._program.program, NativeProgram)
    for a, b in zip(first, exe(X, Y), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    assert exe.wait() is exe


def test_compile_waits_where_asked_and_results_are_new():
    exe = native(function, X, Y, wait=True)
    assert exe.compiled
    first = exe(X, Y)
    kept = [a.copy() for a in first]
    exe(2 * X, Y)
    for a, b in zip(first, kept, strict=True):
        assert a.tobytes() == b.tobytes() and a.flags.owndata and a.flags.writeable


def test_the_environment_chooses_the_executor(monkeypatch):
    for name in ("native", "reference"):
        monkeypatch.setenv("GRAPHAD_EXECUTOR", name)
        assert ga.compile(function, X, Y).executor == name
        assert ga.compile(function, X, Y, executor="reference").executor == "reference"
    monkeypatch.setenv("GRAPHAD_EXECUTOR", "")
    assert ga.compile(function, X, Y).executor == "native"
    monkeypatch.setenv("GRAPHAD_EXECUTOR", "nativ")
    with pytest.raises(ExecutionError, match="no executor is named 'nativ'"):
        ga.compile(function, X, Y)
    with pytest.raises(ExecutionError, match="there are 'native' and 'reference'"):
        ga.compile(function, X, Y, executor="numpy")
    with pytest.raises(ExecutionError, match="at least one thread"):
        native(function, X, Y, threads=0)


@pytest.mark.parametrize("wait", [False, True])
def test_calls_from_many_threads_agree(wait):
    exe = native(lambda x, y: (*function(x, y), x @ y.T, np.sum(x)), X, Y, wait=wait)
    wanted = {k: ga.compile(exe.graph, executor="reference")(X * k, Y) for k in range(1, 9)}
    wrong = []

    def call(k):
        for _ in range(200):
            for a, b in zip(exe(X * k, Y), wanted[k], strict=True):
                if not np.allclose(a, b, rtol=1e-12, atol=0):
                    wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in wanted]
    for thread in threads:
        thread.start()
    exe.wait()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


def test_state_counts_every_call_through_the_swap_and_from_all_threads():
    exe = native(lambda n, x: {"n": n + 1, "out": x * 2}, np.zeros(3), X, updates={"n": "n"})

    def call():
        for _ in range(250):
            exe(X)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    exe.wait()
    for thread in threads:
        thread.join(60)
    np.testing.assert_array_equal(exe.state["n"], np.full(3, 1000.0))
    exe.set_state(n=np.full(3, -5.0))
    exe(X)
    np.testing.assert_array_equal(exe.state["n"], np.full(3, -4.0))
    assert exe.compiled


def test_state_read_is_a_copy():
    exe = native(lambda n, x: {"n": n + x, "out": x}, np.zeros(3), np.ones(3), updates={"n": "n"}, wait=True)
    exe(np.ones(3))
    seen = exe.state["n"]
    seen[:] = 99
    exe(np.ones(3))
    np.testing.assert_array_equal(exe.state["n"], np.full(3, 2.0))


def test_arguments_that_are_not_quite_fitting_go_the_general_way():
    exe = native(function, X, Y, wait=True)
    wanted = exe(X, Y)
    for x in (np.asfortranarray(X), X[::-1][::-1], X.tolist(), X.astype(">f8"), np.flip(np.flip(X).copy())):
        for a, b in zip(exe(x, Y), wanted, strict=True):
            assert a.tobytes() == b.tobytes()
    for a, b in zip(exe(X, y=Y), wanted, strict=True):
        assert a.tobytes() == b.tobytes()
    with pytest.raises(ValueError):
        exe(X[:3], Y)
    with pytest.raises(TypeError):
        exe(X)


def test_python_numbers_promote_weakly_also_when_compiled():
    jitted = ga.jit(lambda x, a: x * a, executor="native")
    single = np.ones(3, np.float32)
    for _ in range(3):
        assert jitted(single, 2.5).dtype == np.float32
        assert jitted(single, np.float64(2.5)).dtype == np.float64
        assert jitted(single, 2).dtype == np.float32
        assert jitted(single, np.array(2.5)).dtype == np.float64
        assert jitted(np.ones(3, np.int8), 2).dtype == np.int8
        jitted.executable(single, 2.5).wait()
        jitted.executable(single, np.array(2.5)).wait()
    np.testing.assert_array_equal(jitted(single, 2.5), np.full(3, 2.5, np.float32))
    numbers = ga.jit(lambda a, b: a * b + 1, executor="native")
    numbers.executable(2, 3).wait()
    assert numbers(2, 3) == 7 and numbers(2.0, 3) == 7.0 and np.asarray(numbers(2, 3)).dtype.kind == "i"


def test_symbolic_sizes_are_native_for_each_size():
    exe = native(lambda x: (np.sum(x * x, axis=0), x - np.mean(x)), ga.spec((ga.dim("n"), 3)))
    for size in (4, 1, 33, 4, 1000):
        x = np.random.default_rng(size).random((size, 3))
        first = exe(x)
        exe.wait()
        assert exe.compiled
        for a, b, c in zip(first, exe(x), (np.sum(x * x, axis=0), x - x.mean()), strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-13, atol=1e-15)
            np.testing.assert_allclose(b, c, rtol=1e-13, atol=1e-15)
    with pytest.raises(ExecutionError, match="static sizes"):
        exe.llvm_ir()


def test_what_an_executable_tells():
    exe = native(function, X, Y)
    assert "define" in exe.llvm_ir() and exe.compiled
    assert "ret" in exe.assembly()
    before = exe.report()
    profile = exe.profile(X, Y, repeats=3)
    text = str(profile)
    assert "test_tiers.py" in text and exe.report() != before
    plain = ga.compile(function, X, Y, executor="reference")
    for ask in (plain.llvm_ir, plain.assembly, lambda: plain.profile(X, Y)):
        with pytest.raises(ExecutionError):
            ask()
    assert plain.compiled is False or plain(X, Y)
    assert plain.wait().compiled


def test_a_product_in_several_kernels_is_counted_once():
    def heads(q, k):
        return np.swapaxes(q, 1, 2) @ np.swapaxes(np.swapaxes(k, 1, 2), -1, -2)

    q, k = np.random.default_rng(0).random((2, 3, 128, 4, 64), np.float32)
    steps = native(heads, q, k, wait=True).profile(q, k, repeats=1).steps
    products = [step for step in steps if step.op == "matmul"]
    assert len({step.kernel for step in products}) <= 1
    assert sum(step.flops for step in products) == 2 * 3 * 4 * 128 * 128 * 64
    assert all(step.nbytes <= 2 * q.nbytes + 3 * 4 * 128 * 128 * 4 for step in products)


def test_profiling_leaves_the_state():
    exe = native(lambda n, x: {"n": n + x, "out": np.sum(x)}, np.zeros(3), np.ones(3), updates={"n": "n"}, wait=True)
    exe(np.ones(3))
    exe.profile(np.ones(3))
    np.testing.assert_array_equal(exe.state["n"], np.ones(3))


def test_host_steps_between_native_ones():
    def mixed(x):
        values, order = np.sort(x, axis=0), np.argsort(x, axis=0)
        return np.exp(values) * 2, order, np.linalg.solve(x.T @ x, np.sum(values, axis=0))

    exe = native(mixed, X + np.eye(7, 3), wait=True)
    for a, b in zip(exe(X + np.eye(7, 3)), mixed(X + np.eye(7, 3)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


# Processes.

BEGIN = """
import os, sys, threading, time
import numpy as np
import graphad as ga
def make(k):
    def f(x):
        for _ in range(60):
            x = np.sin(x) / (1 + k) + 0.1 * np.mean(np.exp(-x * x), axis=0)
        return x
    return ga.compile(f, np.ones((5, 4)), executor="native")
x = np.linspace(0, 1, 20).reshape(5, 4)
"""


def run(script, tmp_path):
    environment = {**os.environ, "GRAPHAD_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", BEGIN + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_a_process_may_end_while_code_is_compiled(delay, tmp_path):
    found = run(f"for k in range(6): make(k)(x)\ntime.sleep({delay})\nprint('end')\n", tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, "end\n", "")


FORK = """
exe = make(0)
{before}
wanted = exe(x)
{between}
child = os.fork()
if not child:
    same = np.allclose(exe(x), wanted)
    exe.wait()
    same = same and exe.compiled and np.allclose(exe(x), wanted)
    other = make(1)
    first = other(x)
    other.wait()
    os._exit(0 if same and np.allclose(first, other(x)) else 3)
for _ in range(100):
    done, status = os.waitpid(child, os.WNOHANG)
    if done: break
    time.sleep(0.2)
else:
    os.kill(child, 9)
    sys.exit("the child hangs")
assert np.allclose(exe.wait()(x), wanted)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    ("before", "between"),
    [("exe.wait()", ""), ("", ""), ("", "time.sleep(0.08)"), ("", "time.sleep(0.2)")],
    ids=["ready", "asked for", "begun", "in LLVM"],
)
def test_a_fork_goes_on_in_both_processes(before, between, tmp_path):
    found = run(FORK.format(before=before, between=between), tmp_path)
    assert found.returncode == 0, found.stderr


def test_executables_come_and_go():
    for k in range(20):
        exe = Executable(ga.trace(lambda x, k=k: x + k, X), executor="native")
        exe(X)
        del exe
    last = native(lambda x: x * 3, X)
    last(X)
    np.testing.assert_array_equal(last.wait()(X), X * 3)
