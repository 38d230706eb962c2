"""Where dot is looked for, in which order, and what becomes of a bad or a slow one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from graphad.view import dot_binary


def program(directory: Path, name: str, body: str = "cat") -> Path:
    path = directory / name
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no dot at all: an empty PATH and an interpreter in an empty directory."""
    monkeypatch.delenv("GRAPHAD_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setattr(dot_binary.sysconfig, "get_path", lambda *_: str(tmp_path / "scripts"))
    return tmp_path


def test_nothing_is_found_on_an_empty_machine(machine: Path) -> None:
    assert dot_binary.find_dot() is None
    assert dot_binary.run_dot("digraph {}") is None


def test_the_order_is_variable_then_path_then_package(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = program(machine / "path", "graphviz-pure")
    assert dot_binary.find_dot() == str(elsewhere)
    scripts = program(machine / "scripts", "graphviz-pure")
    assert dot_binary.find_dot() == str(scripts)
    beside = program(machine / "venv", "graphviz-pure")
    assert dot_binary.find_dot() == str(beside)
    on_path = program(machine / "path", "dot")
    assert dot_binary.find_dot() == str(on_path)
    wished = program(machine / "mine", "my-dot")
    monkeypatch.setenv("GRAPHAD_DOT", str(wished))
    assert dot_binary.find_dot() == str(wished)


@pytest.mark.parametrize("wish", ["", "none", "/no/such/program"])
def test_a_variable_that_names_nothing_turns_dot_off(machine: Path, monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    program(machine / "path", "dot")
    monkeypatch.setenv("GRAPHAD_DOT", wish)
    assert dot_binary.find_dot() is None


def test_the_source_goes_in_and_the_output_comes_back(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHAD_DOT", str(program(machine / "mine", "dot", 'echo "$1"; exec /bin/cat')))
    assert dot_binary.run_dot("digraph { é }", "json0") == "-Tjson0\ndigraph { é }"


@pytest.mark.parametrize("body", ["exit 3", "printf '\\377\\376'", "kill -9 $$"])
def test_a_failing_program_is_none(machine: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setenv("GRAPHAD_DOT", str(program(machine / "mine", "dot", body)))
    assert dot_binary.run_dot("digraph {}") is None


def test_a_file_that_is_no_program_is_none(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(machine / "mine", "dot")
    path.write_bytes(b"\x7fELF but not really")
    monkeypatch.setenv("GRAPHAD_DOT", str(path))
    assert dot_binary.run_dot("digraph {}") is None


def test_a_slow_program_is_killed_with_its_children(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = machine / "child"
    body = f"/bin/sleep 600 &\necho $! > {note}\nwait"
    monkeypatch.setenv("GRAPHAD_DOT", str(program(machine / "mine", "dot", body)))
    assert dot_binary.run_dot("digraph {}", timeout=1.0) is None
    child = int(note.read_text())
    assert gone(child)


def gone(pid: int) -> bool:
    """Wait up to a generous minute for a killed process to be collected by init."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False
