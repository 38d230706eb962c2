"""The built-in layout: nothing overlaps, arrows reach their boxes and miss the others, frames hold only their own."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from geometry_checks import (
    arrows_through_boxes,
    broken_curves,
    loose_arrows,
    overlapping_boxes,
    strangers_in_frames,
)
from pictures import mlp, transformer

from graphad.view.drawing import Arrow, Box, Picture
from graphad.view.layout import layered_layout
from graphad.view.network_simplex import Edge
from graphad.view.rows import assign_rows, topological_order
from graphad.view.stacking import stacked_clusters, strong_components


def check(picture: Picture) -> None:
    layout = layered_layout(picture)
    assert len(layout.boxes) == len(picture.boxes)
    assert overlapping_boxes(layout) == []
    assert loose_arrows(picture, layout, 0.05) == []
    assert arrows_through_boxes(layout) == []
    assert strangers_in_frames(picture, layout) == []
    assert broken_curves(layout) == []


@pytest.mark.parametrize(
    "picture",
    [
        Picture("nothing", ()),
        Picture("one", (Box("a", ("a",)),)),
        mlp(1, backward=False, scopes=False),
        mlp(4),
        mlp(46),
        mlp(46, scopes=False),
        transformer(2),
        transformer(4),
    ],
    ids=lambda picture: picture.title,
)
def test_training_graphs(picture: Picture) -> None:
    check(picture)


def test_backward_pass_lies_beside_the_forward_pass() -> None:
    picture = mlp(8, scopes=False)
    y = {box.key: placed.y for box, placed in zip(picture.boxes, layered_layout(picture).boxes, strict=True)}
    row = {height: number for number, height in enumerate(sorted(set(y.values())))}
    for i in range(8):
        assert abs(row[y[f"gp{i}"]] - row[y[f"h{i}"]]) <= 1
    assert y["gp0"] < y["gp7"] < y["l"]


def test_naive_backward_pass_would_be_much_higher() -> None:
    picture = mlp(20, scopes=False)
    naive = replace(picture, arrows=tuple(Arrow(a.source, a.target) for a in picture.arrows))
    height = max(box.y for box in layered_layout(picture).boxes)
    assert height * 1.4 < max(box.y for box in layered_layout(naive).boxes)


def test_arrows_point_down_unless_reversed() -> None:
    picture = mlp(5)
    layout = layered_layout(picture)
    y = {box.key: placed.y for box, placed in zip(picture.boxes, layout.boxes, strict=True)}
    for arrow in picture.arrows:
        if arrow.rank == "below":
            assert y[arrow.upper] < y[arrow.lower]
        else:
            assert y[arrow.upper] <= y[arrow.lower]


def test_cycles_loops_and_repeated_arrows_are_drawn() -> None:
    boxes = tuple(Box(key, (key, "f32[3]")) for key in "abcd")
    pairs = ["ab", "bc", "ca", "cd", "dd", "ab", "db"]
    picture = Picture("cycles", boxes, tuple(Arrow(one, other) for one, other in pairs))
    check(picture)
    loop = layered_layout(picture).arrows[4]
    assert loop.tip != loop.points[0]


def test_a_label_has_room_of_its_own() -> None:
    boxes = tuple(Box(key, (key,)) for key in "abc")
    arrows = (Arrow("a", "b", label="f32[128,64] activations"), Arrow("a", "c"), Arrow("b", "c", label="x"))
    layout = layered_layout(Picture("labels", boxes, arrows))
    for arrow in (layout.arrows[0], layout.arrows[2]):
        assert arrow.label is not None
        x, y = arrow.label
        for box in layout.boxes:
            assert abs(y - box.y) >= box.height / 2 + 5 or abs(x - box.x) >= box.width / 2 + 5


def test_a_value_used_everywhere_passes_outside_when_bends_run_out() -> None:
    # Thirty values that each skip 1500 rows need 45,000 bends, more than the layout will make.
    chain = [Box(f"c{i}", (f"c{i}",)) for i in range(1600)]
    arrows = [Arrow(f"c{i}", f"c{i + 1}") for i in range(1599)]
    arrows += [Arrow(f"c{i}", f"c{i + 1500}", rank="free") for i in range(30)]
    picture = Picture("long", tuple(chain), tuple(arrows))
    check(picture)
    layout = layered_layout(picture)
    left = min(box.x - box.width / 2 for box in layout.boxes)
    assert any(min(x for x, _ in arrow.points) < left - 10 for arrow in layout.arrows)


def test_a_chain_of_twenty_thousand_boxes() -> None:
    count = 20_000
    boxes = tuple(Box(f"{i}", ("add", "f32[3]")) for i in range(count))
    layout = layered_layout(Picture("chain", boxes, tuple(Arrow(f"{i}", f"{i + 1}") for i in range(count - 1))))
    assert len({box.x for box in layout.boxes}) == 1
    assert all(one.y + one.height < other.y for one, other in zip(layout.boxes, layout.boxes[1:], strict=False))


def test_a_deep_scope_path_is_no_recursion() -> None:
    deep = tuple(f"s{i}" for i in range(1500))
    layout = layered_layout(Picture("deep", (Box("a", ("a",), cluster=deep), Box("b", ("b",))), (Arrow("a", "b"),)))
    assert len(layout.clusters) == 1500


@st.composite
def random_pictures(draw: st.DrawFn) -> Picture:
    count = draw(st.integers(1, 24))
    rng = random.Random(draw(st.integers(0, 10**6)))
    paths = [(), ("p",), ("p", "q"), ("p", "r"), ("s",), ("s", "t", "u")]
    boxes = tuple(
        Box(
            f"{i}",
            tuple("w" * rng.randint(0, 20) for _ in range(rng.randint(1, 3))),
            shape=rng.choice(["rounded", "box", "ellipse"]),  # type: ignore[arg-type]
            cluster=rng.choice(paths),
        )
        for i in range(count)
    )
    arrows = tuple(
        Arrow(
            f"{rng.randrange(count)}",
            f"{rng.randrange(count)}",
            label=rng.choice(["", "", "label"]),
            reversed=rng.random() < 0.3,
            rank=rng.choice(["below", "below", "beside", "free"]),  # type: ignore[arg-type]
        )
        for _ in range(rng.randint(0, 2 * count))
    )
    return Picture("random", boxes, arrows)


@settings(max_examples=150, deadline=None)
@given(random_pictures())
def test_random_pictures(picture: Picture) -> None:
    check(picture)


def test_rows_are_short_and_respect_lengths() -> None:
    # 0 -> 1 -> 2 -> 3, and 4 -> 3: the second source comes down to the row above its only use.
    edges = [Edge(0, 1, 1, 1), Edge(1, 2, 1, 1), Edge(2, 3, 1, 1), Edge(4, 3, 1, 1), Edge(1, 5, 0, 1)]
    assert assign_rows(6, edges) == [0, 1, 2, 3, 2, 1]


def test_topological_order_drops_only_what_closes_a_cycle() -> None:
    edges = [Edge(0, 1, 1, 1), Edge(1, 2, 1, 1), Edge(2, 1, 1, 1), Edge(2, 3, 1, 1)]
    order, kept = topological_order(4, edges)
    assert order == [0, 1, 2, 3]
    assert kept == [edges[0], edges[1], edges[3]]


def test_layers_stand_under_each_other() -> None:
    picture = mlp(12)
    layout = layered_layout(picture)
    # The arguments stand beside the first layer, which may be cut around them; every other layer has one frame.
    frames = [frame for frame in layout.clusters if frame.path != ("layer0",)]
    by_name = {frame.path: frame for frame in frames}
    assert len(by_name) == len(frames) == 12
    order = [("layer" + str(i),) for i in range(12)] + [("loss",)]
    assert set(stacked_clusters(picture)) == set(pairwise(order))
    for upper, lower in pairwise(order[1:]):
        assert by_name[upper].y + by_name[upper].height <= by_name[lower].y


def test_clusters_with_a_way_back_are_not_stacked() -> None:
    boxes = (Box("a", ("a",), cluster=("A",)), Box("b", ("b",), cluster=("B",)), Box("c", ("c",), cluster=("A",)))
    picture = Picture("", boxes, (Arrow("a", "b"), Arrow("b", "c")))
    assert stacked_clusters(picture) == ()
    check(picture)


def test_strong_components_are_numbered_from_the_end() -> None:
    assert strong_components([[1], [2], [0, 3], [4], []]) == [2, 2, 2, 1, 0]
    chain = [[k + 1] for k in range(50_000)] + [[]]
    assert strong_components(chain) == list(range(50_000, -1, -1))
