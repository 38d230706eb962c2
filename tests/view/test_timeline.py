"""The memory timeline: rectangles where the plan puts them, readable axes, the bound and the peak named."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

import pytest

from graphad.view.lettering import text_width
from graphad.view.timeline import Rectangle, Timeline, byte_text, byte_ticks, step_ticks, timeline_to_svg

SVG = "{http://www.w3.org/2000/svg}"


def small() -> Timeline:
    rectangles = (
        Rectangle(0, 1, 0, 1024, "%a <x>", "forward", "a & b"),
        Rectangle(1, 3, 1024, 2048, "%b", "backward"),
        Rectangle(2, 3, 0, 1024, "%c", "update"),
    )
    holes = (Rectangle(3, 3, 0, 512),)
    return Timeline(rectangles, 3072, 2048, ("mul", "add", "sub", "ret"), (1024, 3072, 3072, 3072), 1, holes=holes)


def buffers(svg: str) -> list[ElementTree.Element]:
    """List the rectangles with a tooltip that are filled: those of the buffers, not the invisible columns."""
    root = ElementTree.fromstring(svg)
    groups = [group for group in root.iter(f"{SVG}g") if group.get("stroke-width") == "0.8"]
    return [rect for group in groups for rect in group.iter(f"{SVG}rect")]


def test_rectangles_lie_where_the_plan_puts_them() -> None:
    svg = timeline_to_svg(small())
    places = [tuple(float(r.attrib[name]) for name in ("x", "y", "width", "height")) for r in buffers(svg)]
    assert len(places) == 3
    (ax, ay, aw, ah), (bx, by, bw, bh), (cx, cy, cw, ch) = places
    assert bx - ax == pytest.approx(bw / 3, abs=0.02)
    assert aw == pytest.approx(bw * 2 / 3, abs=0.02)
    assert bh == pytest.approx(2 * ah, abs=0.02)
    assert by + bh == pytest.approx(ay, abs=0.02)
    assert (cy, ch, cw) == (ay, ah, aw)
    assert cx == pytest.approx(ax + aw, abs=0.02)


def test_words_and_tooltips_are_there() -> None:
    svg = timeline_to_svg(small())
    root = ElementTree.fromstring(svg)
    texts = {item.text for item in root.iter(f"{SVG}text")}
    assert {"%a <x>", "peak 3 KiB at step 1 (add)", "lower bound 2 KiB", "live bytes", "forward", "update"} <= texts
    assert {"0", "1", "2", "3", "0 B", "1 KiB", "2 KiB", "3 KiB"} <= texts
    tips = {item.text for item in root.iter(f"{SVG}title")}
    assert {"a & b", "step 2: sub, 3 KiB"} <= tips
    assert "%b\n2 KiB at 1024, steps 1 to 3" in tips
    assert "stroke-dasharray" in svg
    assert root.attrib["viewBox"]


def test_the_bound_lies_in_the_arena_and_holes_are_hatched() -> None:
    svg = timeline_to_svg(small())
    root = ElementTree.fromstring(svg)
    texts = {item.text for item in root.iter(f"{SVG}text")}
    assert "lower bound 2 KiB, 50.00% under the arena's top" in texts
    assert "hole: unused, something live above" in texts
    (group,) = (g for g in root.iter(f"{SVG}g") if (g.get("fill") or "").startswith("url(#"))
    (hole,) = group.iter(f"{SVG}rect")
    pattern = (group.get("fill") or "").removeprefix("url(#").removesuffix(")")
    assert pattern in {p.get("id") for p in root.iter(f"{SVG}pattern")}
    third = next(r for r in buffers(svg) if r[0].text and r[0].text.startswith("%c"))
    assert float(hole.attrib["height"]) == pytest.approx(float(third.attrib["height"]) / 2, abs=0.02)
    lines = [p.get("d", "") for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray") == "6 4"]
    assert len(lines) == 2
    bottom = max(float(r.attrib["y"]) + float(r.attrib["height"]) for r in buffers(svg))
    assert float(lines[0].split(",")[1].split("h")[0]) == pytest.approx(
        bottom - 2 * float(third.attrib["height"]), abs=0.1
    )


def test_hostile_names() -> None:
    evil = '</svg><script>"&\x00'
    line = Timeline((Rectangle(0, 0, 0, 8, evil, evil, evil),), 8, 8, (evil,), (8,), 0, evil)
    root = ElementTree.fromstring(timeline_to_svg(line))
    assert not list(root.iter(f"{SVG}script"))


def test_nothing_to_draw() -> None:
    ElementTree.fromstring(timeline_to_svg(Timeline((), 0, 0, (), (), 0)))
    ElementTree.fromstring(timeline_to_svg(Timeline((), 0, 0, ("a",), (0,), 0)))


def test_thousands_of_buffers_stay_a_reasonable_file() -> None:
    rng = random.Random(0)
    count = 5000
    rectangles = tuple(
        Rectangle(i, min(count - 1, i + rng.randint(0, 50)), 64 * rng.randrange(1000), 64, f"%{i}")
        for i in range(count)
    )
    live = tuple(rng.randrange(1 << 20) for _ in range(count))
    svg = timeline_to_svg(Timeline(rectangles, 1 << 20, 1000, tuple(map(str, range(count))), live, 7))
    assert len(buffers(svg)) == count
    assert len(svg) < 400 * count


@pytest.mark.parametrize("peak", [0, 1, 20, 38, 39])
def test_the_notes_over_the_curve_do_not_overlap(peak: int) -> None:
    live = tuple(1000 if step == peak else 10 for step in range(40))
    names = tuple(f"a rather long name of a step {step}" for step in range(40))
    root = ElementTree.fromstring(timeline_to_svg(Timeline((), 1000, 900, names, live, peak)))
    notes = [t for t in root.iter(f"{SVG}text") if (t.text or "").startswith(("peak", "lower", "live bytes"))]
    spans = []
    for note in notes:
        width, x = text_width(note.text or ""), float(note.attrib["x"])
        left = {"middle": x - width / 2, "end": x - width}.get(note.get("text-anchor", ""), x)
        spans.append((float(note.attrib["y"]), left, left + width))
    assert len(spans) == 4  # the lower bound stands over the arena too
    for i, one in enumerate(spans):
        for other in spans[:i]:
            assert abs(one[0] - other[0]) >= 12 or one[2] <= other[1] or other[2] <= one[1]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (20 << 20, "20 MiB"),
        (3 << 40, "3 TiB"),
        (100 << 10, "100 KiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_byte_text(count: int, text: str) -> None:
    assert byte_text(count) == text


@pytest.mark.parametrize("top", [0, 1, 7, 100, 4096, 10**6, 2**40 + 1])
def test_byte_ticks(top: int) -> None:
    ticks = byte_ticks(top)
    assert ticks[0] == 0
    assert len(ticks) <= 9
    assert ticks[-1] <= top
    assert top < 4 or len(ticks) >= 4


@pytest.mark.parametrize("count", [0, 1, 2, 11, 12, 13, 99, 100, 1000, 12345, 10**6])
def test_step_ticks(count: int) -> None:
    ticks = step_ticks(count)
    assert len(ticks) <= 13
    assert count < 3 or len(ticks) >= 3
    assert all(0 <= tick < count for tick in ticks)


def test_plans_are_checked() -> None:
    with pytest.raises(ValueError, match="values of live bytes"):
        Timeline((), 0, 0, ("a",), (), 0)
    with pytest.raises(ValueError, match="the peak"):
        Timeline((), 0, 0, ("a",), (1,), 1)
    with pytest.raises(ValueError, match="outside the arena"):
        Timeline((Rectangle(0, 0, 4, 8),), 8, 0, ("a",), (1,), 0)
    with pytest.raises(ValueError, match="outside the arena"):
        Timeline((), 8, 0, ("a",), (1,), 0, holes=(Rectangle(0, 0, 4, 8),))
    with pytest.raises(ValueError, match="lives from step"):
        Timeline((Rectangle(0, 1, 0, 8),), 8, 0, ("a",), (1,), 0)
