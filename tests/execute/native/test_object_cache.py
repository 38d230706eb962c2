"""Object code on disk: kept by content, never trusted blindly, bounded."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from graphad.execute.native import compilation, object_cache
from graphad.execute.native.code import Module
from graphad.execute.native.object_cache import compiled, directory, key, read, tidy, write


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache directory that is in use."""
    monkeypatch.setenv("GRAPHAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("GRAPHAD_CACHE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of modules that LLVM compiles from now on."""
    made: list[str] = []
    genuine = compilation.object_code

    def noted(text: str, level: int) -> bytes:
        made.append(text)
        return genuine(text, level)

    monkeypatch.setattr(compilation, "object_code", noted)
    return made


def module(number: int) -> str:
    """Return a module whose function ``answer`` returns a number."""
    return f"define i64 @answer() {{\n  ret i64 {number}\n}}\n"


def answer(text: str) -> int:
    """Compile a module and call its function; nothing of it stays in this process."""
    code = compiled(text)
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("answer"))())


def files(place: Path) -> list[Path]:
    return sorted(place.glob("*.object"))


def test_code_is_compiled_once_and_then_read(place: Path, compilations: list[str]) -> None:
    for _ in range(3):
        assert answer(module(7)) == 7
    assert len(compilations) == 1
    assert [path.name for path in files(place)] == [key(module(7), 2) + ".object"]
    assert place.stat().st_mode & 0o077 == 0


def test_code_in_use_is_not_loaded_again(place: Path) -> None:
    first = compiled(module(8))
    assert compiled(module(8)) is first
    assert compiled(module(8), level=1) is not first


def test_keys_depend_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    found = object_cache.host()
    keys = {key("a", 2), key("b", 2), key("a", 1)}
    for changed in ({"cpu": "other"}, {"features": "+none"}, {"triple": "elsewhere"}):
        monkeypatch.setattr(object_cache, "host", lambda c=changed: dataclasses.replace(found, **c))
        keys.add(key("a", 2))
    monkeypatch.setattr(object_cache, "host", lambda: found)
    monkeypatch.setattr(object_cache, "version", lambda: "LLVM 0")
    keys.add(key("a", 2))
    monkeypatch.setattr("graphad.__version__", "0.0.0")
    keys.add(key("a", 2))
    assert len(keys) == 8


@pytest.mark.parametrize("damage", ["cut", "bit", "magic", "empty", "other"])
def test_damaged_files_are_replaced(place: Path, compilations: list[str], damage: str) -> None:
    answer(module(9))
    (path,) = files(place)
    good = path.read_bytes()
    bad = {
        "cut": good[:-1],
        "bit": good[:200] + bytes([good[200] ^ 1]) + good[201:],
        "magic": b"G" + good[1:],
        "empty": b"",
    }
    if damage == "other":  # a whole file under another name
        answer(module(10))
        other = next(p for p in files(place) if p != path)
        path.write_bytes(other.read_bytes())
        compilations.clear()
        compilations.append("")
    else:
        path.write_bytes(bad[damage])
    assert answer(module(9)) == 9
    assert len(compilations) == 2
    assert path.read_bytes() == good
    assert answer(module(9)) == 9
    assert len(compilations) == 2


def test_nothing_is_kept_where_it_is_switched_off(
    place: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHAD_CACHE", "0")
    assert directory() is None
    assert [answer(module(11)), answer(module(11))] == [11, 11]
    assert len(compilations) == 2
    assert not place.exists()


def test_directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRAPHAD_CACHE", raising=False)
    monkeypatch.delenv("GRAPHAD_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert directory() == tmp_path / "graphad"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directory() == tmp_path / ".cache" / "graphad"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert directory() == tmp_path / "Library" / "Caches" / "graphad"


def test_a_directory_that_cannot_be_written_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRAPHAD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert answer(module(12)) == 12


@pytest.mark.skipif(os.name != "posix", reason="the platform does not tell whose files are")
def test_what_others_can_write_is_not_used(place: Path, compilations: list[str]) -> None:
    answer(module(13))
    (path,) = files(place)
    path.chmod(0o666)
    assert read(place, path.stem) is None
    assert answer(module(13)) == 13
    assert len(compilations) == 2
    assert path.stat().st_mode & 0o022 == 0
    place.chmod(0o777)
    assert read(place, path.stem) is None
    before = path.stat().st_mtime_ns
    assert answer(module(13)) == 13
    assert path.stat().st_mtime_ns == before
    place.chmod(0o700)
    path.rename(place / "elsewhere")
    path.symlink_to(place / "elsewhere")
    assert read(place, path.stem) is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the platform does not tell whose files are")
def test_files_of_other_users_are_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, "name", b"code")
    assert read(place, "name") == b"code"
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert read(place, "name") is None


def test_what_was_used_longest_ago_goes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_cache, "BOUND", 10_000)
    now = time.time()
    for k in range(9):
        write(place, f"n{k}", bytes(1000))
        os.utime(place / f"n{k}.object", (now - 1000 + k, now - 1000 + k))
    assert read(place, "n0") is not None  # makes it the newest
    write(place, "n9", bytes(1000))
    kept = {path.stem for path in files(place)}
    assert {"n0", "n9", "n8"} <= kept
    assert "n1" not in kept
    assert sum(path.stat().st_size for path in files(place)) <= 10_000
    assert tidy(place, 0) == 0
    assert not files(place)


def test_what_writers_left_behind_goes(place: Path) -> None:
    write(place, "name", b"code")
    old, new = place / "a.writing", place / "b.writing"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    tidy(place)
    assert not old.exists()
    assert new.exists()


def test_threads_that_want_the_same_code_wait_for_one(place: Path, compilations: list[str]) -> None:
    found: list[object] = []
    callers = [threading.Thread(target=lambda: found.append(compiled(module(14)))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 6
    assert len(set(map(id, found))) == 1
    assert len(compilations) == 1


def test_an_error_leaves_nothing_locked(place: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError):
            compiled("this is not LLVM IR")
    assert answer(module(15)) == 15


MANY = """
import ctypes
from graphad.execute.native.object_cache import compiled
for k in range(20):
    text = "define i64 @answer() {\\n  ret i64 %d\\n}\\n" % k
    code = compiled(text)
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("answer"))() == k
"""


def test_processes_beside_each_other(place: Path) -> None:
    environment = {**os.environ, "GRAPHAD_CACHE_DIR": str(place)}
    running = [subprocess.Popen([sys.executable, "-c", MANY], env=environment) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert len(files(place)) == 20
    assert not list(place.glob("*.writing"))
    assert all(read(place, path.stem) is not None for path in files(place))


def product_of_modules(*numbers: int) -> Module:
    """Return a module whose function ``total`` adds what its functions ``one7``, ... return."""
    module = Module()
    for number in numbers:
        secret = module.function(f"secret{number}", "i64", [], linkage="internal")
        secret.line(f"ret i64 {number}")
        one = module.function(f"one{number}", "i64", [])
        one.line(f"ret i64 {one.call('i64', f'secret{number}', [])}")
    total = module.function("total", "i64", [])
    sum_ = "0"
    for number in numbers:
        sum_ = total.value(f"add i64 {sum_}, {total.call('i64', f'one{number}', [])}")
    total.line(f"ret i64 {sum_}")
    return module


def total(*numbers: int, threads: int = 1) -> int:
    """Compile a module in parts and call it; nothing of it stays in this process."""
    code = compiled(*product_of_modules(*numbers).parts(), threads=threads)
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("total"))())


def test_parts_are_linked_and_shared(place: Path, compilations: list[str]) -> None:
    assert total(1, 2, 3) == 6
    assert len(compilations) == 4  # internal functions go with those that call them
    assert total(1, 3, 4) == 8
    assert len(compilations) == 6  # one4, and another total
    assert total(1, 2, 3) == 6
    assert len(compilations) == 6


def test_parts_in_use_are_shared_without_a_disk(compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHAD_CACHE", "0")
    kept = compiled(*product_of_modules(1, 2).parts())
    assert total(1, 3) == 4
    assert len(compilations) == 5
    del kept
    assert total(1, 3) == 4
    assert len(compilations) == 8


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_compile_the_same(
    place: Path, compilations: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "WORTH", 1)
    assert total(*range(40), threads=threads) == sum(range(40))
    assert len(compilations) == 41


@pytest.mark.parametrize("threads", [1, 3])
def test_a_part_that_is_wrong_is_named(place: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "WORTH", 1)
    with pytest.raises(RuntimeError, match="expected top-level entity"):
        compiled(*product_of_modules(*range(20)).parts(), "this is not LLVM IR", threads=threads)
    assert not files(place)


def test_a_process_that_ends_is_not_kept_waiting(
    place: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    monkeypatch.setattr(compilation, "go_on", stop)
    with pytest.raises(Stopped):
        total(*range(40))
    assert len(compilations) == 1
