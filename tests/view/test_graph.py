"""Real graphs as pictures: what is a box, what stands in it, where it belongs, and that the pictures can be drawn."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from geometry_checks import broken_curves, loose_arrows, overlapping_boxes, strangers_in_frames

import graphad as ga
from graphad.autodiff import custom_vjp, grad, jvp, value_and_grad
from graphad.ir.graph import Graph
from graphad.passes import optimize
from graphad.view import render
from graphad.view.dot_binary import find_dot, run_dot
from graphad.view.dot_layout import layout_with_dot
from graphad.view.drawing import Box, Picture
from graphad.view.graph import picture, to_svg
from graphad.view.layout import layered_layout

SVG = "{http://www.w3.org/2000/svg}"
Arrays = dict[str, Any]


def parameters(layers: int, width: int = 8) -> list[Arrays]:
    return [{"w": np.ones((width, width)), "b": np.ones(width)} for _ in range(layers)]


def loss(params: list[Arrays], x: Any, y: Any) -> Any:
    """An MLP with one scope a layer."""
    for number, layer in enumerate(params):
        with ga.scope(f"layer{number}"):
            x = np.tanh(x @ layer["w"] + layer["b"])
    with ga.scope("loss"):
        return np.mean((x - y) ** 2)


def forward(layers: int) -> Graph:
    return ga.trace(loss, parameters(layers), np.ones((4, 8)), np.ones((4, 8)))


def both(layers: int) -> Graph:
    graph: Graph = value_and_grad(forward(layers))
    return graph


def train_step(params: list[Arrays], x: Any, y: Any) -> Any:
    value, grads = value_and_grad(loss)(params, x, y)
    with ga.role("update"):
        new = [{k: p[k] - 0.1 * g[k] for k in p} for p, g in zip(params, grads, strict=True)]
    return value, new


def training(layers: int) -> Graph:
    return ga.trace(train_step, parameters(layers), np.ones((4, 8)), np.ones((4, 8)))


def symbolic() -> Graph:
    x = ga.spec((ga.dim("batch"), 8), "float64")
    return ga.trace(loss, parameters(2), x, x)


def boxes_named(drawn: Picture, start: str) -> list[Box]:
    return [box for box in drawn.boxes if box.lines[0].startswith(start)]


def box_named(drawn: Picture, start: str) -> Box:
    (box,) = boxes_named(drawn, start)
    return box


def require_dot() -> None:
    assert find_dot(), "install graphviz-pure (extra `draw`) or set GRAPHAD_DOT"


def test_scalars_stand_in_the_box_of_their_user() -> None:
    def f(x: Any) -> Any:
        return 2.0 / x + np.maximum(x, -1.5) + (np.arctan2(x, 7) + np.where(x > 0, x, True))

    drawn = picture(ga.trace(f, np.ones(3)))
    first = {box.lines[0] for box in drawn.boxes}
    assert {"div(2.0, ·)", "maximum(·, -1.5)", "arctan2(·, 7.0)", "greater(·, 0.0)", "where(·, ·, 1.0)"} <= first
    assert not [box for box in drawn.boxes if box.kind == "constant"]


def test_a_scalar_that_is_an_output_is_a_box() -> None:
    constant = ga.trace(lambda x: ga.numpy.full((), 3.0), np.ones(2))
    assert [box.kind for box in picture(constant).boxes] == ["input", "constant", "output"]


def test_arguments_parameters_constants_and_outputs_are_told_apart() -> None:
    graph = ga.trace(lambda w, x: x @ w + np.array([1.0, 2.0, 3.0]), np.ones((2, 3)), np.ones((4, 2)))
    drawn = picture(graph)
    kinds = {box.lines[0]: (box.kind, box.shape) for box in drawn.boxes}
    assert kinds["w"] == kinds["x"] == ("input", "ellipse")
    assert kinds["constant [1., 2., 3.]"] == ("constant", "box")
    assert kinds[graph.output_names[0]] == ("output", "ellipse")
    trained = Graph(
        graph.name,
        graph.inputs,
        graph.outputs,
        graph.input_names,
        graph.output_names,
        graph.input_container,
        graph.output_container,
        {"w": np.ones((2, 3))},
    )
    assert box_named(picture(trained), "w").kind == "parameter"


def test_boxes_tell_shapes_dtypes_attributes_and_lines() -> None:
    graph = ga.trace(lambda x: np.sum(np.transpose(x.astype(np.float32), (1, 2, 0)), axis=(0, 1)), np.ones((2, 3, 4)))
    drawn = picture(graph)
    assert box_named(drawn, "cast").lines == ("cast f32[2,3,4]",)
    assert box_named(drawn, "transpose").lines == ("transpose[permutation=(1, 2, 0)]", "f32[3,4,2]")
    total = box_named(drawn, "sum")
    assert total.lines == ("sum[axes=(0, 1)]", "f32[2]")
    assert "test_graph.py:" in total.tooltip
    assert "np.sum(np.transpose(x.astype" in total.tooltip
    assert " = sum[axes=(0, 1)] %" in total.tooltip


def test_a_plain_transpose_needs_no_attributes() -> None:
    drawn = picture(ga.trace(lambda x: x.T, np.ones((2, 3))))
    assert box_named(drawn, "transpose").lines == ("transpose", "f64[3,2]")


def test_scopes_are_nested_clusters_and_hold_what_belongs_to_them() -> None:
    def f(p: Arrays, x: Any) -> Any:
        with ga.scope("encoder"), ga.scope("block"):
            return np.sin(x @ p["w"])

    drawn = picture(ga.trace(f, {"w": np.ones((3, 3))}, np.ones((2, 3))))
    assert box_named(drawn, "sin").cluster == ("encoder", "block")
    assert box_named(drawn, "p.w").cluster == ("encoder", "block")
    assert box_named(drawn, "x").cluster == ()
    assert next(box for box in drawn.boxes if box.kind == "output").cluster == ("encoder", "block")


def test_the_backward_pass_and_the_update_lie_beside_the_forward_pass() -> None:
    drawn = picture(training(6))
    kinds = {box.key: box.kind for box in drawn.boxes}
    assert {"forward", "backward", "update", "input", "output"} <= set(kinds.values())
    behind = {key for key, kind in kinds.items() if kind in ("backward", "update")}
    for arrow in drawn.arrows:
        if arrow.source in behind:
            assert arrow.reversed, "an arrow out of the backward pass points up, into outputs too"
        elif arrow.target in behind:
            assert arrow.rank == "beside"
        else:
            assert not arrow.reversed and arrow.rank == "below"
    layout = layered_layout(drawn)
    y = {box.key: placed.y for box, placed in zip(drawn.boxes, layout.boxes, strict=True)}
    forward_rows, backward_rows = (
        [y[box.key] for box in drawn.boxes if box.kind == kind and "layer3" in box.cluster]
        for kind in ("forward", "backward")
    )
    assert min(backward_rows) < max(forward_rows) and min(forward_rows) < max(backward_rows)


def test_a_small_gradient_reads_from_top_to_bottom() -> None:
    z = ga.trace(lambda x1, x2: x1**2 + x2**2 + x1 * x2, np.float64(2.0), np.float64(3.0))
    drawn = picture(optimize(value_and_grad(z, argnums=(0, 1))))
    assert not [arrow for arrow in drawn.arrows if arrow.reversed]
    assert len(boxes_named(drawn, "mul(2.0, ·)")) == 2
    assert {box.kind for box in drawn.boxes} == {"input", "forward", "backward", "output"}


def test_a_tangent_of_a_gradient_asks_for_nothing_impossible() -> None:
    def deep(x: Any) -> Any:
        for _ in range(12):
            x = np.sin(x)
        return x.sum()

    graph = ga.trace(lambda x, v: jvp(grad(deep), (x,), (v,)), np.ones(3), np.ones(3))
    drawn = picture(graph)
    assert "tangent" in {box.kind for box in drawn.boxes}
    layout = layered_layout(drawn)
    y = {box.key: placed.y for box, placed in zip(drawn.boxes, layout.boxes, strict=True)}
    # Every request is kept, so they have no cycle.
    assert all(y[arrow.upper] <= y[arrow.lower] for arrow in drawn.arrows)


def test_symbolic_sizes_are_printed() -> None:
    drawn = picture(symbolic())
    assert "f64[batch,8]" in box_named(drawn, "x").lines
    assert any("f64[batch,8]" in box.lines for box in boxes_named(drawn, "tanh"))
    assert "batch" in " ".join(line for box in drawn.boxes if box.kind == "forward" for line in box.lines)


def test_ops_that_hold_graphs_list_their_bodies() -> None:
    drawn = picture(optimize(both(2)))
    fused = [box for box in drawn.boxes if box.lines[0].startswith("fused:")]
    assert fused
    assert {"forward", "backward"} <= {box.kind for box in fused}
    assert all("graph " in box.tooltip and "return %" in box.tooltip for box in fused)


def test_custom_rules_list_their_bodies() -> None:
    @custom_vjp
    def softplus(x: Any) -> Any:
        return np.log1p(np.exp(x))

    softplus.defvjp(lambda x: (softplus(x), x), lambda x, g: (g / (1 + np.exp(-x)),))
    drawn = picture(ga.trace(lambda x: softplus(x).sum(), np.ones(3)))
    (box,) = [box for box in drawn.boxes if "custom_vjp" in box.lines[0]]
    assert "exp" in " ".join(box.lines) and "log1p" in " ".join(box.lines)


def test_hostile_names_are_shown_as_they_stand() -> None:
    evil = '</text><script>alert("1")</script> & \\N \x00'

    def f(args: Arrays) -> Any:
        with ga.scope("<b>&amp;"):
            return {evil: np.sin(args[evil])}

    graph = ga.trace(f, {evil: np.ones(2)})
    for layout in (layout_with_dot(picture(graph)), layered_layout(picture(graph))):
        assert layout is not None
    svg = graph.to_svg()
    root = ElementTree.fromstring(svg)
    assert "script" not in {item.tag.removeprefix(SVG) for item in root.iter()}
    assert any("<script>" in (item.text or "") for item in root.iter(f"{SVG}tspan"))
    require_dot()
    assert run_dot(graph.to_dot(), "svg")


@pytest.mark.parametrize("layout_of", [layout_with_dot, layered_layout])
@pytest.mark.parametrize(
    "graph_of",
    [lambda: forward(3), lambda: both(5), lambda: optimize(both(5)), lambda: training(4), symbolic],
    ids=["forward", "forward and backward", "optimised", "training step", "symbolic"],
)
def test_pictures_of_real_graphs_are_sound(graph_of: Any, layout_of: Any) -> None:
    require_dot()
    drawn = picture(graph_of())
    layout = layout_of(drawn)
    assert layout is not None
    assert not overlapping_boxes(layout)
    assert not broken_curves(layout)
    assert not loose_arrows(drawn, layout, 3.0)
    assert not strangers_in_frames(drawn, layout)


def test_a_training_graph_of_a_thousand_nodes_is_drawn_by_dot() -> None:
    require_dot()
    graph = both(70)
    assert len(graph.nodes) > 1000
    drawn = picture(graph)
    assert len(drawn.boxes) <= render.MOST_BOXES_FOR_DOT
    layout = layout_with_dot(drawn)
    assert layout is not None, "dot must answer within its ten seconds"
    assert not overlapping_boxes(layout)
    assert not overlapping_boxes(layered_layout(drawn))


def test_the_doors(tmp_path: Path) -> None:
    graph = both(2)
    svg = graph.to_svg(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == svg == to_svg(graph)
    assert graph._repr_svg_().startswith("<svg")
    assert graph.to_dot().startswith("digraph")
    with pytest.raises(OSError):
        graph.to_svg(tmp_path / "missing" / "graph.svg")


def test_a_chain_of_many_nodes_is_no_recursion() -> None:
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = np.sin(x)
        return x

    drawn = picture(ga.trace(f, np.float64(1.0)))
    assert len(drawn.boxes) == 5002
    assert not overlapping_boxes(layered_layout(drawn))
