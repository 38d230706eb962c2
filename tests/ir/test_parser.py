"""Reading the printed form: round trips, handwritten text, and everything that is refused."""

from __future__ import annotations

import random
import re
import textwrap

import numpy as np
import pytest

import graphad as ga
import graphad.ops  # registers the ops
from graphad.ir.attributes import MAX_NESTING
from graphad.ir.dims import dim
from graphad.ir.errors import ParseError
from graphad.ir.location import Location
from graphad.ir.op import OPS
from graphad.ir.parser import parse
from graphad.ir.printer import print_graph
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


def round_trip(graph: ga.Graph) -> ga.Graph:
    text = str(graph)
    read = parse(text)
    assert read == graph
    assert str(read) == text
    read.verify()
    return read


@pytest.mark.parametrize("make", [mlp, symbolic, all_dtypes, lambda: chain(1), lambda: chain(0)])
def test_round_trips(make) -> None:
    round_trip(make())


def test_every_bit_survives() -> None:
    graph = all_dtypes()
    assert same_bits(graph, parse(str(graph)))


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_with_its_samples(name: str) -> None:
    cls = OPS[name]
    for sample in cls.samples:
        operands = {f"x{k}": TensorType(np.dtype(o.dtype), o.shape) for k, o in enumerate(sample.operands)}
        round_trip(graph_of(operands, lambda *values, sample=sample: put(cls(**sample.attributes), *values)))


def test_locations_come_back() -> None:
    text = str(mlp())
    found = [node.location for node in parse(text).nodes if node.location]
    assert found and all(location.file == "sample_graphs.py" and location.source == "" for location in found)


def test_python_reads_the_whole_value_space_of_attributes() -> None:
    n = dim("n")
    with graph_holding_ops() as (_, _, everything, _):
        for size, either in ((3, None), (n, 2.5), ((n + 1) // 2, n), (dim("f64"), float("inf")), (-(2 * n) + 7, -0.0)):
            op = everything(
                flag=False,
                count=-(10**30),
                factor=1e-300,
                text='two\nlines, "quoted" ] # \ud800',
                maybe=4,
                size=size,
                dtype=F64,
                type=TensorType(np.dtype(bool), (n, 2)),
                nested=((1, n * 2 - 1), (), (dim("None"),)),
                mixed=(True, 2.0, ")"),
                either=either,
                usual=-0.0,
            )
            read = round_trip(graph_of({"x": T}, lambda x, op=op: put(op, x)))
            assert repr(read.nodes[1].op) == repr(op)


def test_graphs_within_graphs() -> None:
    body = graph_of({"a": T}, lambda a: (put(OPS["tanh"](), a), constant(np.arange(100.0))), name="body")
    with graph_holding_ops() as (held, choice, _, _):
        inner = graph_of({"x": T}, lambda x: put(held(body, "inner"), x), name="inner")
        graph = graph_of({"x": T}, lambda x: put(choice((inner, inner)), put(held(body), x)))
        assert str(graph).count("@c0") == 3 + 1
        round_trip(graph)


def test_several_results() -> None:
    body = graph_of({"a": T}, lambda a: (a, put(OPS["neg"](), a)))
    with graph_holding_ops() as (held, _, _, _):
        from graphad.ir.emit import emit

        graph = graph_of({"x": T}, lambda x: emit(held(body), (x,)).outputs)
        assert re.search(r"%0: f64\[2,3\], %1: f64\[2,3\] = held", str(graph))
        round_trip(graph)


HANDWRITTEN = [
    """\
    graph f(%x: f32[3]) -> (f32[3]) {
      return %x
    }
    """,
    """\
    graph nothing() -> () {
      return
    }
    """,
    """\
    graph train(%params.w: f64[2,2] parameter = [[1.0, 0.5], [-0.0, nan]], %x: f64[n,2]) -> (loss: f64[], y: f64[n,2]) {
      arguments ({w: *}, *)
      result {loss: *, y: *}
      assume n >= 2                                                # model.py:3
      %0: f64[n,2] = matmul %x, %params.w {scope="layer"}          # model.py:4
      %1: f64[] = sum[axes=(0, 1)] %0                              # model.py:5
      %2: f64[] = constant 2.5
      %3: f64[] = mul %1, %2 {role=update, scope="a/b", replica=2} # model.py:6
      return %3, %0
    }
    """,
]


@pytest.mark.parametrize("text", HANDWRITTEN)
def test_handwritten_text(text: str) -> None:
    text = textwrap.dedent(text)
    graph = parse(text)
    printed = print_graph(graph)
    squeeze = re.compile(r" +#")
    assert squeeze.sub(" #", printed) == squeeze.sub(" #", text)
    assert print_graph(parse(printed)) == printed


def test_free_layout_and_comments() -> None:
    graph = parse(
        "# first\ngraph f ( %x : f64[2] ) -> ( f64[2] )\n{ # why\n %y:f64[2]=tanh\t%x # m.py:3 \n\n return %y }  # end"
    )
    assert graph.nodes[1].location == Location("m.py", 3, "")


SIMPLE = "graph f(%x: f64[2,3]) -> (f64[2,3]) {{\n  {}\n  return %0\n}}\n"

WRONG = {
    "": "expected 'graph', got the end",
    "graph f(": r"line 1, column 9: expected an input such as %x, got the end of the text",
    "graph f(%x: f64[2,3]) -> (f64[2]) {\n return %x\n}": r"line 2, column 2: .* but returns \(f64\[2,3\]\)",
    "graph f(%x: f64[2,3], %x: f64[2,3]) -> () {\n return\n}": r"column 23: %x is already defined",
    "graph f() -> () {\n arguments (*,)\n return\n}": "nesting of the arguments has 1 leaves for 0 values",
    "graph f() -> () {\n arguments (*,\n return\n}": "line 2, column 12: .*not a container",
    "graph f() -> () {\n return\n} graph": "line 3, column 3: expected the end of the text, got 'graph'",
    "graph f(%x: f64[2,-3]) -> () {\n return\n}": "negative size",
    "graph f(%x: f64[" + "1," * 70 + "1]) -> () {\n return\n}": "more than 64 axes",
    "graph f(%x: f64[2] = [1.0]) -> () {\n return\n}": "expected ',', got ']'",
    "graph f(%x: f64[] = 1.0.0) -> () {\n return\n}": "column 24: '.' means nothing here",
    "graph f() -> () {\n assume n = 3\n return\n}": "line 2, column 9: .* is not an assumption",
    "graph f() -> (a: f64[], f64[]) {\n return\n}": "either all outputs have names",
    SIMPLE.format(
        "%0: f64[2,3] = tanhh %x"
    ): r"line 2, column 18: there is no op named 'tanhh'\n      %0: f64\[2,3\] = tanhh %x\n {21}\^",
    SIMPLE.format("%0: f64[2,3] = input %x"): "no op named 'input'",
    SIMPLE.format("%0: f64[3,2] = tanh %x"): r"tanh\(f64\[2,3\]\) gives f64\[2,3\], not f64\[3,2\]",
    SIMPLE.format("%0: f64[2,3] = add %x"): r"column 18: add\(f64\[2,3\]\): takes 2",
    SIMPLE.format("%0: f64[2,3] = tanh %y"): "column 23: %y is not defined above",
    SIMPLE.format("%0: f64[2,3] = sum[axis=(0,)] %x"): r"no attribute 'axis' \(it has: axes\)",
    SIMPLE.format("%0: f64[2,3] = sum %x"): "op sum needs the attribute 'axes'",
    SIMPLE.format("%0: f64[2,3] = sum[axes=(0,), axes=(1,)] %x"): "given twice",
    SIMPLE.format("%0: f64[2,3] = sum[axes=(0, True)] %x"): "cannot be a tuple",
    SIMPLE.format('%0: f64[2,3] = sum[axes="ab"] %x'): "cannot be a str",
    SIMPLE.format("%0: f64[2,3] = sum[axes=(7,)] %x"): "not sorted, distinct axes",
    SIMPLE.format("%0: f64[2,3] = sum[axes=" + "(" * 100): "nested more than 64 deep|expected",
    SIMPLE.format("%0: f64[2,3] = tanh %x {role=sideways}"): "a role is one of forward, backward",
    SIMPLE.format("%0: f64[2,3] = tanh %x {replica=-1}"): "non-negative",
    SIMPLE.format("%0: f64[2,3] = constant <48 B elided>"): r"left out when it was printed \(48 B elided\)",
    SIMPLE.format("%0: f64[2,3] = constant @c0"): "there is no resource @c0",
    SIMPLE.format("%0: f64[2,3] = constant [[1.0, 2.0]]"): "expected ',', got ']'|expected",
    SIMPLE.format("%0: f64[9999999999,99999999] = constant []"): "there are not so many elements",
    SIMPLE.format("%0: i8[] = constant 300"): "300 does not fit int8",
    SIMPLE.format("%0: bool[] = constant 1"): "not a boolean",
    SIMPLE.format("%0: f32[] = constant nan(0x7ff8000000000001)"): "not a NaN of float32",
    SIMPLE.format("%0: f64[] = constant nan(0x1)"): "not a NaN of float64",
    SIMPLE.format("%0: f64[n] = constant []"): "cannot have the symbolic type",
    SIMPLE.format("%0: f64[2,3] = tanh %x $"): r"'\$' means nothing here",
    SIMPLE.format("%0: i64[] = constant " + "9" * 5000): "digits|fit",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ParseError, match=WRONG[text]):
        parse(text)


def resource(data: str, type_: str = "f64[1000]") -> str:
    graph = f"graph f() -> ({type_}) {{\n  %0: {type_} = constant @c0\n  return %0\n}}\n"
    return f"{graph}resources {{\n  @c0: {type_} = {data}\n}}\n"


def test_resources_are_checked() -> None:
    good = print_graph(graph_of({}, lambda: constant(np.arange(1000.0))))
    data = re.search(r'"[^"]*"', good)[0]
    assert parse(resource(data)) == parse(good.replace("graph g", "graph f"))
    for wrong, type_, reason in (
        (data, "f64[999]", "not the 7992 bytes"),
        (data, "f64[1001]", "not the 8008 bytes"),
        (data, "f64[100000000]", "cannot hold"),
        (data, "f64[n]", "symbolic"),
        ('"' + data[9:], "f64[1000]", "damaged"),
        (data[:-9] + '"', "f64[1000]", "damaged|not the"),
        ('"!"', "f64[1000]", "damaged"),
        ("12", "f64[1000]", "expected the data in quotes"),
    ):
        with pytest.raises(ParseError, match=reason):
            parse(resource(wrong, type_))
    with pytest.raises(ParseError, match="more than the 10 bytes allowed"):
        parse(good, resource_limit=10)
    with pytest.raises(ParseError, match=r"@c0 is f64\[1000\], not f64\[10,100\]"):
        parse(good.replace("f64[1000]", "f64[10,100]", 2))


def test_a_zip_bomb_is_not_unpacked() -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(ParseError, match="not the 8000 bytes"):
        parse(resource(f'"{bomb}"'))


def test_python_objects_cannot_be_read_back() -> None:
    with graph_holding_ops() as (_, _, everything, _):
        op = everything(True, 1, 1.5, "", None, 2, F64, T, (), (True, 1.0, ""), function=len)
        text = str(graph_of({}, lambda: put(op)))
        with pytest.raises(ParseError, match=r"'function' of op everything is <opaque .*not read back"):
            parse(text)


def test_deep_nesting_of_graphs_is_refused() -> None:
    with graph_holding_ops():
        text = "graph f(%x: f64[]) -> (f64[]) {\n%0: f64[] = held[body=" * 500
        with pytest.raises(ParseError, match="nested more than 64 deep"):
            parse(text)


def test_damaged_text_is_read_or_refused() -> None:
    rng = random.Random(0)
    with graph_holding_ops() as (held, _, _, _):
        body = graph_of({"a": T}, lambda a: put(OPS["tanh"](), a))
        texts = [str(g) for g in (mlp(), symbolic(), graph_of({"x": T}, lambda x: put(held(body), x)))]
        refused = 0
        for _ in range(1500):
            text = rng.choice(texts)
            at = rng.randrange(len(text))
            kind = rng.randrange(3)
            if kind == 0:
                text = text[:at]
            elif kind == 1:
                text = text[:at] + rng.choice('()[]{}%@"<>,:=.0x9\n #nfi*/-') + text[at + 1 :]
            else:
                to = rng.randrange(len(text))
                text = text[:at] + text[to : to + rng.randrange(30)] + text[at:]
            try:
                parse(text).verify()
            except ParseError as error:
                assert "line " in str(error)
                refused += 1
        assert refused > 700


@pytest.mark.parametrize(
    "text",
    [
        "#" * 1_000_000,
        '"' + "\\a" * 500_000,
        "graph " + "(" * 100_000,
        "graph f(%x: f64[" + "n*" * 300_000,
        " \n" * 400_000,
        "graph f(" + "%x: f64[2" * 100_000,
    ],
)
def test_unclosed_text_does_not_hang(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_a_chain_of_100_000() -> None:
    graph = chain(100_000)
    assert parse(str(graph)) == graph


def test_the_deepest_nesting_comes_back() -> None:
    with graph_holding_ops() as (held, _, _, _):
        graph = graph_of({"x": T}, lambda x: put(OPS["tanh"](), x))
        for _ in range(MAX_NESTING - 1):
            graph = graph_of({"x": T}, lambda x, inner=graph: put(held(inner), x))
        round_trip(graph)
