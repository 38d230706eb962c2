"""Graphs as files: round trips bit for bit, and files that are damaged, too new or hostile."""

from __future__ import annotations

import json
import os
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphad.files import load, save, write
from graphad.ir.attributes import MAX_NESTING
from graphad.ir.dims import Assumption, dim
from graphad.ir.errors import FileError, MissingExtraError
from graphad.ir.graph import Graph
from graphad.ir.location import Location
from graphad.ir.op import OPS
from graphad.ir.types import TensorType
from tests.ir.sample_graphs import (
    F64,
    all_dtypes,
    chain,
    constant,
    graph_holding_ops,
    graph_of,
    mlp,
    put,
    same_bits,
    symbolic,
)

T = TensorType(F64, (2, 3))


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def stateful() -> Graph:
    """A graph with everything a file has a place for."""
    n = dim("n")
    return graph_of(
        {"x": TensorType(F64, (n, 3)), "w": T},
        lambda x, w: (put(OPS["tanh"](), x), put(OPS["mul"](), w, constant(np.arange(6.0).reshape(2, 3)))),
        initial={"w": np.arange(12.0).reshape(2, 6)[:, ::2]},
        assumptions=(Assumption(">=", n, 2, Location("a.py", 3, "x[:2]")), Assumption("!=", n, 7)),
    )


@pytest.mark.parametrize("make", [mlp, symbolic, all_dtypes, stateful, lambda: chain(3), lambda: chain(0)])
def test_round_trips(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph = make()
    save(graph, tmp_path / "g.safetensors")
    read = load(str(tmp_path / "g.safetensors"))
    assert read == graph
    read.verify()
    assert [n.location and (n.location.file, n.location.line, n.location.source) for n in read.nodes] == [
        n.location and (n.location.file, n.location.line, n.location.source) for n in graph.nodes
    ]
    assert [a.location for a in read.assumptions] == [a.location for a in graph.assumptions]
    assert names_in(tmp_path) == ["g.safetensors"]


def test_every_bit_survives(tmp_path: Path) -> None:
    graph = all_dtypes()
    save(graph, tmp_path / "g")
    assert same_bits(graph, load(tmp_path / "g"))


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_with_its_samples(name: str, tmp_path: Path) -> None:
    cls = OPS[name]
    for sample in cls.samples:
        operands = {f"x{k}": TensorType(np.dtype(o.dtype), o.shape) for k, o in enumerate(sample.operands)}
        graph = graph_of(operands, lambda *values, sample=sample: put(cls(**sample.attributes), *values))
        save(graph, tmp_path / "g")
        assert load(tmp_path / "g") == graph


def test_every_kind_of_attribute(tmp_path: Path) -> None:
    n = dim("n")
    with graph_holding_ops() as (held, choice, everything, _):
        body = graph_of({"a": T}, lambda a: (put(OPS["tanh"](), a), constant(np.arange(100.0))), name="body")
        inner = graph_of({"x": T}, lambda x: put(held(body, "\ud800"), x))
        for either in (None, float("inf"), -0.0, n, 2 * n + 1):
            op = everything(
                True, -(10**30), 1e-300, "two\nlines", 4, n // 1, F64, T, ((1, n), ()), (True, 2.0, ""), either=either
            )
            graph = graph_of({"x": T}, lambda x, op=op: (put(op, x), put(choice((inner, body, inner)), x)))
            save(graph, tmp_path / "g")
            read = load(tmp_path / "g")
            assert read == graph
            assert repr(read.nodes[1].op) == repr(op)


def test_long_structures_are_a_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "LONGEST_IN_HEADER", 10)
    save(stateful(), tmp_path / "g")
    assert load(tmp_path / "g") == stateful()


def test_a_chain_of_100_000(tmp_path: Path) -> None:
    graph = chain(100_000)
    save(graph, tmp_path / "g")
    assert load(tmp_path / "g") == graph


def test_other_tools_read_the_tensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    save(stateful(), tmp_path / "g")
    tensors = load_file(tmp_path / "g")
    assert sorted(tensors) == ["c0", "c1"]
    assert np.array_equal(tensors["c0"], np.arange(12.0).reshape(2, 6)[:, ::2])


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g"
    save(chain(1), path)
    before = path.read_bytes()

    def broken(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        save(chain(2), path)
    assert path.read_bytes() == before and names_in(tmp_path) == ["g"]


def test_python_objects_cannot_be_saved(tmp_path: Path) -> None:
    with graph_holding_ops() as (_, _, everything, _):
        op = everything(True, 1, 1.5, "", None, 2, F64, T, (), (True, 1.0, ""), function=len)
        with pytest.raises(FileError, match="'function' of op everything is a Python builtin_function_or_method"):
            save(graph_of({}, lambda: put(op)), tmp_path / "g")
    assert names_in(tmp_path) == []


def test_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'graphad\[files\]'"):
        save(chain(1), tmp_path / "g")


def test_missing_files_and_directories(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(FileError, match="is not a file"):
        load(tmp_path)


# Files that are not sound


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    save(stateful(), tmp_path / "sound")
    return (tmp_path / "sound").read_bytes()


def parts(raw: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return header, structure and data of a file."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["structure"]), raw[8 + length :]


def assemble(header: dict[str, Any] | str, structure: Any, data: bytes) -> bytes:
    """Put a file together, its structure's checksum right."""
    if isinstance(header, dict):
        text = structure if isinstance(structure, str) else json.dumps(structure)
        header["__metadata__"] |= {"structure": text, "structure_crc32": str(zlib.crc32(text.encode()))}
        header = json.dumps(header)
    raw = header.encode()
    return len(raw).to_bytes(8, "little") + raw + data


def refused(tmp_path: Path, raw: bytes, reason: str) -> None:
    (tmp_path / "bad").write_bytes(raw)
    with pytest.raises(FileError, match=reason) as caught:
        load(tmp_path / "bad")
    assert len(str(caught.value)) < 2000


def test_truncation_at_any_length(sound: bytes, tmp_path: Path) -> None:
    for length in (*range(0, len(sound), 7), len(sound) - 1):
        refused(tmp_path, sound[:length], "it ends after|its header claims|has the offsets|the tensors end|file of")
    refused(tmp_path, sound + b"x", "the tensors end at byte")


def test_random_flips(sound: bytes, tmp_path: Path) -> None:
    rng = random.Random(0)
    graph = stateful()
    read = 0
    for _ in range(1500):
        raw = bytearray(sound)
        for _ in range(rng.choice((1, 1, 1, 5))):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        (tmp_path / "bad").write_bytes(raw)
        try:
            assert load(tmp_path / "bad") == graph
            read += 1
        except FileError:
            pass
    assert read < 150


def test_random_damage_behind_the_checksum(sound: bytes, tmp_path: Path) -> None:
    """The checksum does not stop an attacker, so every check behind it must hold on its own."""
    rng = random.Random(1)
    header, structure, data = parts(sound)
    text = json.dumps(structure)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(3000):
        at = rng.randrange(len(text))
        kind = rng.randrange(3)
        if kind == 0:
            damaged = text[:at] + rng.choice('0123456789-[]{}",:eE.tfn') + text[at + 1 :]
        elif kind == 1:
            damaged = text[:at] + text[at + rng.randrange(1, 9) :]
        else:
            to = rng.randrange(len(text))
            damaged = text[:at] + text[to : to + rng.randrange(20)] + text[at:]
        (tmp_path / "bad").write_bytes(assemble(header, damaged, data))
        try:
            load(tmp_path / "bad").verify()
            outcomes["read"] += 1
        except FileError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 1500 and outcomes["read"] > 0


def values_of(tree: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of nested JSON."""
    found: list[tuple[Any, Any]] = []
    pending = [tree]
    while pending:
        item = pending.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        found += [(item, key) for key in keys]
        pending += [item[key] for key in keys]
    return found


def test_every_value_replaced(sound: bytes, tmp_path: Path) -> None:
    header, structure, data = parts(sound)
    text = json.dumps(structure)
    strange = (None, True, -1, 10**9, 10**30, 1.5, "", "x", [], {}, [[]], {"graph": 0}, {"size": "n"}, [-1], ["f64[2]"])
    for index in range(len(values_of(structure))):
        for replacement in strange:
            changed = json.loads(text)
            container, key = values_of(changed)[index]
            container[key] = replacement
            (tmp_path / "bad").write_bytes(assemble(header, changed, data))
            try:
                load(tmp_path / "bad").verify()
            except FileError:
                continue


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h, s: h.update(c0=dict(h["c0"], shape=[2, -3])), "no lists of sizes"),
        (lambda h, s: h.update(c0=dict(h["c0"], shape=[2**62, 2**62])), "has the offsets"),
        (lambda h, s: h.update(c0=dict(h["c0"], shape=[10**30])), "no lists of sizes"),
        (lambda h, s: h.update(c0=dict(h["c0"], shape=[2, True])), "no lists of sizes"),
        (lambda h, s: h.update(c0=dict(h["c0"], shape=[1] * 70)), "no lists of sizes"),
        (lambda h, s: h.update(c0=dict(h["c0"], data_offsets=[-48, 0])), "no lists of sizes"),
        (lambda h, s: h.update(c0=dict(h["c0"], data_offsets=[48, 96], shape=[2, 3])), "before it ends"),
        (lambda h, s: h.update(c0=dict(h["c0"], data_offsets=[10**6, 10**6 + 48])), "has the offsets"),
        (lambda h, s: h.update(c0=dict(h["c0"], dtype="F8_E4M3")), "unsupported dtype"),
        (lambda h, s: h.update(c0=[1]), "not described"),
        (lambda h, s: h.update(c2={"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}), "before it ends"),
        (lambda h, s: h["__metadata__"].update(version="2"), "has version 2, but this graphad reads version 1"),
        (lambda h, s: h["__metadata__"].update(format="pt"), "not written by graphad"),
        (lambda h, s: h["__metadata__"].update(other=3), "not strings"),
        (lambda h, s: s["tensors"].update(c0=1), "tensor 'c0' is damaged"),
        (lambda h, s: s["graphs"].clear(), "holds no graph"),
        (lambda h, s: s.update(extra=1), "not the keys"),
        (lambda h, s: s["types"].append("f64[1,-1]"), "negative size"),
        (lambda h, s: s["types"].append("f64[" + "1," * 99 + "1]"), "more than 64 axes"),
        (lambda h, s: s["graphs"][0]["ops"].append(["os.system", {}]), "no op named 'os.system'"),
        (lambda h, s: s["graphs"][0]["ops"].append(["input", {}]), "no op named 'input'"),
        (lambda h, s: s["graphs"][0]["ops"].append(["tanh", {"x": 1}]), "op tanh has no attribute 'x'"),
        (lambda h, s: s["graphs"][0]["ops"].append(["sum", {"axes": 1}]), "'axes' of op sum cannot be a int"),
        (lambda h, s: s["graphs"][0]["ops"].append(["sum", {"axes": {"pickle": "x"}}]), "does not know"),
        (lambda h, s: s["graphs"][0]["ops"].append(["sum", {"axes": {"graph": 0}}]), "number 0 of a table of 0"),
        (lambda h, s: s["graphs"][0]["nodes"][0][1].append(99), "an operand is number 99"),
        (lambda h, s: s["graphs"][0]["nodes"][0].__setitem__(1, [2]), "an operand is number 2 of a table of 2"),
        (lambda h, s: s["graphs"][0]["nodes"][0].__setitem__(2, [1]), "its types are"),
        (lambda h, s: s["graphs"][0]["outputs"].append(0), "names of the outputs are 2 for 3"),
        (lambda h, s: s["graphs"][0].update(input_container="(" * 10_000), "nested more than"),
        (lambda h, s: s["graphs"][0]["inputs"][0].update(name="w"), "not distinct"),
        (lambda h, s: s["graphs"][0]["inputs"][0].update(initial="c7"), "'c7', which is not there"),
        (lambda h, s: s["graphs"][0]["assumptions"].append(["import os", -1]), "not an assumption"),
    ],
)
def test_hostile_parts_are_named(
    change: Callable[[Any, Any], object], reason: str, sound: bytes, tmp_path: Path
) -> None:
    header, structure, data = parts(sound)
    change(header, structure)
    refused(tmp_path, assemble(header, structure, data), reason)


def test_hostile_headers(sound: bytes, tmp_path: Path) -> None:
    header, structure, data = parts(sound)
    refused(tmp_path, (1 << 62).to_bytes(8, "little") + b"{}", "claims 4611686018427387904 bytes")
    refused(tmp_path, (200_000_000).to_bytes(8, "little"), "claims 200000000 bytes")
    refused(tmp_path, assemble("[" * 1_000_000, None, b""), "not sound JSON")
    refused(tmp_path, assemble('{"a":' * 100_000, None, b""), "not sound JSON")
    refused(tmp_path, assemble("[]", None, b""), "no JSON object")
    refused(tmp_path, assemble('{"a": NaN}', None, b""), "NaN is not JSON")
    refused(tmp_path, assemble('{"a": 1, "a": 2}', None, b""), "'a' appears twice")
    refused(tmp_path, assemble('{"a": ' + "9" * 100_000 + "}", None, b""), "not sound JSON")
    refused(tmp_path, assemble("{}", None, b""), "not written by graphad")
    refused(tmp_path, assemble(b"\xff\xfe".decode("latin1"), None, b""), "not sound JSON")
    refused(tmp_path, assemble(header, "[" * 1_000_000, data), "structure is not sound JSON")
    refused(tmp_path, assemble(header, '{"types": [], "types": []}', data), "'types' appears twice")
    deep: Any = 0
    for _ in range(MAX_NESTING + 1):
        deep = [deep]
    structure["graphs"][0]["ops"].append(["sum", {"axes": deep}])
    refused(tmp_path, assemble(header, structure, data), "nested more than 64 deep")


def test_graphs_named_too_often_or_too_deep(tmp_path: Path) -> None:
    """A file of a few lines may name a graph 2^60 times over."""
    with graph_holding_ops() as (held, choice, _, _):
        body = graph_of({"a": T}, lambda a: put(OPS["tanh"](), a))
        graph = body
        for _ in range(60):
            graph = graph_of({"a": T}, lambda a, inner=graph: put(choice((inner, inner)), a))
        save(graph, tmp_path / "g")
        with pytest.raises(FileError, match="too deep or too often"):
            load(tmp_path / "g")
        graph = body
        for _ in range(MAX_NESTING):
            graph = graph_of({"a": T}, lambda a, inner=graph: put(held(inner), a))
        with pytest.raises(FileError, match="nested more than 64 deep"):
            save(graph, tmp_path / "g")


def test_booleans_that_are_none(tmp_path: Path) -> None:
    save(graph_of({}, lambda: constant(np.zeros(20, bool))), tmp_path / "g")
    header, structure, data = parts((tmp_path / "g").read_bytes())
    refused(tmp_path, assemble(header, structure, data[:-1] + b"\x02"), "neither 0 nor 1")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_saved_graph_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    save(chain(3), tmp_path / "g.safetensors")
    assert (tmp_path / "g.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    "array", [np.ones(2), np.ones((2, 3)), np.ones(()), np.ones((3, 2), np.int64)], ids=lambda a: f"{a.dtype}{a.shape}"
)
def test_what_is_no_pairs_is_no_complex_array(array):
    if array.shape[-1:] == (2,) and array.dtype == np.float64:
        assert write.from_pairs(array) == 1 + 1j
    else:
        with pytest.raises(ValueError, match="no pairs"):
            write.from_pairs(array)
