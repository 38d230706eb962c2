"""Pictures as SVG and DOT: well-formed, complete, safe with hostile text, and never without an answer."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import itertools

from geometry_checks import broken_curves, loose_arrows, overlapping_boxes, strangers_in_frames
from pictures import mlp, transformer

from graphad.view import render
from graphad.view.dot import quoted, to_dot
from graphad.view.dot_binary import find_dot, run_dot
from graphad.view.dot_layout import layout_with_dot
from graphad.view.drawing import BOX_STYLES, TEXT_COLOUR, Arrow, Box, Picture, legend_of
from graphad.view.geometry import box_size
from graphad.view.layout import layered_layout
from graphad.view.lettering import LONGEST_LINE, label_lines, text_width
from graphad.view.svg import render_svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    'quote " and \\" and \\\\',
    "back\\slash \\N \\G \\l",
    "<script>alert(1)</script>",
    "</text></svg><svg onload='x'>",
    "a & b &amp; &lt; &#x3C;",
    "line one\nline two\r\nline three",
    "nul \x00 bell \x07 escape \x1b[31m",
    "lone surrogate \ud800 and \uffff",
    "héllo wörld 世界 ∂L/∂w 🎉",
    "]]> <!-- --> ?>",
    "{a|b} <port> n1:n2",
    'x" ]; evil [label="',
    "",
    " ",
    "tab\tseparated",
    "w" * 5000,
)


def hostile_picture() -> Picture:
    boxes = tuple(
        Box(text + f"#{i}", (text, "f32[3]"), text, "rounded", text, (text, "inner") if text.strip() else ())
        for i, text in enumerate(HOSTILE)
    )
    arrows = tuple(Arrow(one.key, other.key, one.lines[0], one.kind) for one, other in itertools.pairwise(boxes))
    return Picture(HOSTILE[0] + HOSTILE[2] + HOSTILE[7], boxes, arrows, tuple((text, text) for text in HOSTILE))


def shown_texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [item.text or "" for item in root.iter() if item.tag in (f"{SVG}text", f"{SVG}tspan")]


def check_document(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert len([float(part) for part in root.attrib["viewBox"].split()]) == 4
    tags = {item.tag.removeprefix(SVG) for item in root.iter()}
    assert tags <= {"svg", "g", "title", "rect", "ellipse", "path", "text", "tspan", "circle"}
    assert not [name for item in root.iter() for name in item.attrib if name.startswith("on") or "href" in name]
    return root


def require_dot() -> None:
    # The tests of dot need the binary that the README installs; without it they fail rather than pass unseen.
    assert find_dot(), "install graphviz-pure (extra `draw`) or set GRAPHAD_DOT"


@pytest.mark.parametrize("layout_of", [layout_with_dot, layered_layout])
def test_hostile_text_is_shown_as_it_stands(layout_of) -> None:  # type: ignore[no-untyped-def]
    require_dot()
    picture = hostile_picture()
    layout = layout_of(picture)
    assert layout is not None
    svg = render_svg(picture, layout)
    check_document(svg)
    texts = shown_texts(svg)
    for box in picture.boxes:
        for line in label_lines(box.lines):
            assert line in texts
    assert "<script>alert(1)</script>" in texts
    assert "line two" in texts
    assert all(len(text) <= LONGEST_LINE for text in texts)


def test_hostile_text_survives_graphviz_itself() -> None:
    require_dot()
    svg = run_dot(to_dot(hostile_picture()))
    assert svg is not None
    root = ElementTree.fromstring(svg)
    # Graphviz writes spaces as no-break spaces.
    texts = [(item.text or "").replace("\xa0", " ") for item in root.iter(f"{SVG}text")]
    for expected in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[4], "line three", HOSTILE[8], HOSTILE[11]):
        assert expected in texts
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [('a"b', '"a\\"b"'), ("a\\n", '"a\\\\n"'), ("a\nb", '"a\\nb"'), ("&amp;", '"&amp;amp;"'), ("\x00", '"\ufffd"')],
)
def test_quoting(text: str, expected: str) -> None:
    assert quoted(text) == expected


@pytest.mark.parametrize("picture", [mlp(1, backward=False), mlp(4), transformer(2), mlp(46)], ids=lambda p: p.title)
def test_dot_layout_is_sound(picture: Picture) -> None:
    require_dot()
    layout = layout_with_dot(picture, timeout=120.0)
    assert layout is not None
    assert overlapping_boxes(layout) == []
    # dot clips splines to the outline with the pen's width and to some hundredths of an inch.
    assert loose_arrows(picture, layout, 2.5) == []
    assert strangers_in_frames(picture, layout) == []
    assert broken_curves(layout) == []


@pytest.mark.parametrize("layout_of", [layout_with_dot, layered_layout])
def test_everything_is_in_the_document(layout_of) -> None:  # type: ignore[no-untyped-def]
    require_dot()
    picture = mlp(4)
    layout = layout_of(picture)
    assert layout is not None
    svg = render_svg(picture, layout)
    root = check_document(svg)
    texts = shown_texts(svg)
    for box in picture.boxes:
        assert texts.count(box.lines[0]) >= 1
    for kind, text in picture.legend:
        assert text in texts, kind
    assert {"layer0", "layer3", "loss", picture.title} <= set(texts)
    tips = [item.text or "" for item in root.iter(f"{SVG}title")]
    assert all(box.tooltip in tips for box in picture.boxes)
    # One curve and one head for each arrow.
    assert len(list(root.iter(f"{SVG}path"))) == 2 * len(picture.arrows)


def test_labels_fit_into_their_boxes() -> None:
    for shape in ("rounded", "box", "ellipse"):
        for lines in (("matmul", "f32[128,64]"), ("W" * 30,), ("世界" * 10, "i"), ("a", "b", "c", "d")):
            box = Box("k", lines, shape=shape)  # type: ignore[arg-type]
            width, height = box_size(box)
            for row, line in enumerate(lines):
                y = abs(row - (len(lines) - 1) / 2) * 15.0 + 4.5
                room = width if shape != "ellipse" else width * (1 - min(1.0, (y / (height / 2)) ** 2)) ** 0.5
                assert text_width(line) <= room + 0.5
            assert 15.0 * len(lines) <= height


def test_text_width_of_known_words() -> None:
    # Adobe's Helvetica metrics: H 722, e 556, l 222, l 222, o 556.
    assert text_width("Hello", 1000.0) == 722 + 556 + 222 + 222 + 556
    assert text_width("é", 1000.0) == text_width("e", 1000.0)
    assert text_width("世", 1000.0) == 1000


def test_dot_source_says_what_the_picture_says() -> None:
    source = to_dot(mlp(2))
    assert "dir=back" in source
    assert "minlen=0" in source
    assert source.count("subgraph cluster_") == 3
    assert source.count("tooltip=") >= len(mlp(2).boxes)
    assert "backward</TD>" in source
    assert source.count("{") == source.count("}")


def test_without_a_binary_the_built_in_layout_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHAD_DOT", "none")
    picture = mlp(3)
    svg = render.picture_to_svg(picture)
    check_document(svg)
    assert svg == render_svg(picture, layered_layout(picture))


@pytest.mark.parametrize("answer", ["nonsense", "{}", '{"bb": "0,0,1,1", "objects": []}', "[]", "null"])
def test_nonsense_from_dot_is_replaced(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("graphad.view.dot_layout.run_dot", lambda *_: answer)
    picture = mlp(1)
    assert layout_with_dot(picture) is None
    check_document(render.picture_to_svg(picture))


def test_with_a_binary_dot_draws() -> None:
    require_dot()
    picture = mlp(3)
    assert render.place(picture) == layout_with_dot(picture)


def test_large_pictures_do_not_ask_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("dot was asked")

    monkeypatch.setattr(render, "layout_with_dot", refuse)
    count = render.MOST_BOXES_FOR_DOT + 1
    picture = Picture("many", tuple(Box(f"{i}", ("x",)) for i in range(count)))
    assert len(render.place(picture).boxes) == count


def test_an_empty_picture_is_a_document() -> None:
    check_document(render.picture_to_svg(Picture("", ())))


def test_the_reverse_pass_of_a_thousand_boxes_is_laid_out_by_dot() -> None:
    require_dot()
    picture = transformer(11)
    assert 1000 <= len(picture.boxes) <= 1100
    # No time is asserted; the limit only keeps a hanging dot from hanging the tests.
    layout = layout_with_dot(picture, timeout=300.0)
    assert layout is not None
    assert overlapping_boxes(layout) == []


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", BOX_STYLES)
def test_text_is_readable_on_every_fill(kind: str) -> None:
    style = BOX_STYLES[kind]
    assert re.fullmatch("#[0-9a-f]{6}", style.fill)
    light, dark = luminance(style.fill), luminance(TEXT_COLOUR)
    assert (light + 0.05) / (dark + 0.05) >= 10.0
    # The outline stands out from the fill: WCAG asks 3:1 of graphical objects.
    assert (light + 0.05) / (luminance(style.stroke) + 0.05) >= 3.0


def test_pictures_are_checked() -> None:
    with pytest.raises(ValueError, match="two boxes have the key 'a'"):
        Picture("", (Box("a", ()), Box("a", ())))
    with pytest.raises(ValueError, match="is no box"):
        Picture("", (Box("a", ()),), (Arrow("a", "b"),))


def test_the_legend_lists_the_kinds_that_occur() -> None:
    boxes = (Box("a", (), "update"), Box("b", (), "input"), Box("c", (), "mine"))
    assert legend_of(boxes) == (("input", "input"), ("update", "update"), ("mine", "mine"))
