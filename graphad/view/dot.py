"""`Picture` to DOT source, for Graphviz and for people who want to style or lay out the graph themselves.

What may enter: DOT syntax.  No subprocess (see `dot_binary`) and no coordinates (see `layout`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile

from graphad.view.drawing import MUTED_COLOUR, TEXT_COLOUR, Arrow, Box, Picture, arrow_style, box_style, rows_between
from graphad.view.geometry import box_size
from graphad.view.lettering import FONT_SIZE, label_lines, printable, xml_text
from graphad.view.stacking import stacked_clusters

POINTS_PER_INCH = 72.0

# nslimit and nslimit1 bound the network simplex of rows and of x coordinates, mclimit and searchsize bound
# crossing reduction: without them a graph of a thousand nodes can run for minutes for differences that the
# eye does not see.
_GRAPH_ATTRIBUTES = "rankdir=TB, ranksep=0.45, nodesep=0.3, nslimit=2, nslimit1=2, searchsize=30"


def quoted(text: str) -> str:
    """Write `text` as a DOT string that is shown as it stands: no escape, entity or quote in it takes effect."""
    clean = printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{clean}"'


@dataclass(slots=True)
class _Cluster:
    """One frame while the tree of frames is built: the boxes directly in it and the frames inside it."""

    members: list[int] = field(default_factory=list)
    inner: dict[str, _Cluster] = field(default_factory=dict)


def to_dot(picture: Picture, newrank: bool = True) -> str:
    """Write `picture` as DOT source; `newrank` is Graphviz's attribute of that name.

    With it dot ranks all boxes at once, which keeps stacked clusters under each other; but for some pictures whose
    arrows run level between clusters it then loses arrows and says so.

    Box number i is the node ``n<i>`` and arrow number j has the comment ``a<j>``: names that no label can
    break.  Clusters are numbered in the order of `cluster_paths`.  Title and legend are the graph's label, so
    they take no part in the layout.
    """
    names = {box.key: f"n{number}" for number, box in enumerate(picture.boxes)}
    out = [
        "digraph graphad {",
        f"  graph [{_GRAPH_ATTRIBUTES}, newrank={str(newrank).lower()},",
        f"         fontname=Helvetica, fontsize={FONT_SIZE:g}, fontcolor={quoted(TEXT_COLOUR)},",
        f"         labelloc=t, label={_title_and_legend(picture)}, tooltip={quoted(picture.title)}];",
        f'  node [fontname=Helvetica, fontsize={FONT_SIZE:g}, fontcolor={quoted(TEXT_COLOUR)}, margin="0.08,0.03"];',
        f"  edge [fontname=Helvetica, fontsize={FONT_SIZE - 2:g}, fontcolor={quoted(MUTED_COLOUR)}, arrowsize=0.7];",
    ]
    out.extend(_clusters_and_nodes(picture))
    boxes = {box.key: box for box in picture.boxes}
    out.extend(_edge(number, arrow, names, boxes) for number, arrow in enumerate(picture.arrows))
    out.extend(_stacks(picture, names))
    out.append("}")
    return "\n".join(out) + "\n"


def cluster_paths(picture: Picture) -> tuple[tuple[str, ...], ...]:
    """List the path of every frame in the order of its number in `to_dot`: outer first, else as first met."""
    paths: dict[tuple[str, ...], None] = {}
    for box in picture.boxes:
        for depth in range(1, len(box.cluster) + 1):
            paths.setdefault(box.cluster[:depth])
    return tuple(paths)


def _clusters_and_nodes(picture: Picture) -> list[str]:
    root = _Cluster()
    for number, box in enumerate(picture.boxes):
        frame = root
        for name in box.cluster:
            frame = frame.inner.setdefault(name, _Cluster())
        frame.members.append(number)
    numbers = {path: number for number, path in enumerate(cluster_paths(picture))}
    out: list[str] = []
    # A stack instead of recursion: a hostile scope path may be thousands of names deep.
    pending: list[tuple[tuple[str, ...], _Cluster] | str] = [((), root)]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        path, frame = item
        indent = "  " * (len(path) + 1)
        if path:
            out.append(f"{indent[2:]}subgraph cluster_{numbers[path]} {{")
            label = label_lines((path[-1],))[0]
            out.append(
                f'{indent}graph [label={quoted(label)}, tooltip={quoted("/".join(path))}, style="rounded", '
                f'color="#9aa5b1", fontcolor={quoted(MUTED_COLOUR)}, labeljust=l, labelloc=t, margin=10];'
            )
            pending.append(f"{indent[2:]}}}")
        out.extend(indent + _node(number, picture.boxes[number]) for number in frame.members)
        pending.extend(((*path, name), inner) for name, inner in reversed(frame.inner.items()))
    return out


def _node(number: int, box: Box) -> str:
    style = box_style(box.kind)
    width, height = box_size(box)
    look = ["filled"] + ["rounded"] * (box.shape == "rounded") + ["dashed"] * style.dashed
    label = quoted("\n".join(label_lines(box.lines)))
    return (
        f"n{number} [label={label}, tooltip={quoted(tooltip_of(box))}, "
        f"shape={'ellipse' if box.shape == 'ellipse' else 'box'}, style={quoted(','.join(look))}, "
        f"fillcolor={quoted(style.fill)}, color={quoted(style.stroke)}, penwidth={style.stroke_width:g}, "
        f"width={width / POINTS_PER_INCH:.4f}, height={height / POINTS_PER_INCH:.4f}, fixedsize=true];"
    )


def _edge(number: int, arrow: Arrow, names: dict[str, str], boxes: dict[str, Box]) -> str:
    style = arrow_style(arrow.kind)
    attributes = [f"comment=a{number}", f"color={quoted(style.stroke)}"]
    if style.dashed:
        attributes.append("style=dashed")
    if arrow.label:
        attributes.append(f"label={quoted(label_lines((arrow.label,))[0])}")
    if arrow.reversed:
        attributes.append("dir=back")
    if arrow.rank == "free":
        attributes.append("constraint=false")
    else:
        # dot itself adds the row for a label.
        rows = rows_between(replace(arrow, label=""), boxes[arrow.upper], boxes[arrow.lower])
        attributes.append(f"minlen={rows}" if arrow.rank == "beside" else f"weight=4, minlen={rows}")
    return f"  {names[arrow.upper]} -> {names[arrow.lower]} [{', '.join(attributes)}];"


def _stacks(picture: Picture, names: dict[str, str]) -> Iterator[str]:
    """Hold stacked clusters apart by a point that is not drawn, under all of one and over all of the other."""
    bounds = _Bounds(picture)
    for number, (upper, lower) in enumerate(stacked_clusters(picture)):
        yield f'  s{number} [shape=point, style=invis, label="", width=0.01, height=0.01];'
        for key in bounds.last(upper):
            yield f"  {names[key]} -> s{number} [comment=stack, style=invis, weight=0];"
        for key in bounds.first(lower):
            yield f"  s{number} -> {names[key]} [comment=stack, style=invis, weight=0];"


class _Bounds:
    """The boxes of each cluster that no arrow inside it leads from, or to."""

    def __init__(self, picture: Picture) -> None:
        self._members: dict[tuple[str, ...], list[str]] = {}
        clusters = {box.key: box.cluster for box in picture.boxes}
        for key, path in clusters.items():
            for depth in range(1, len(path) + 1):
                self._members.setdefault(path[:depth], []).append(key)
        # Of each box, how deep the clusters are that it shares with the boxes over it and under it.
        self._over = dict.fromkeys(clusters, 0)
        self._under = dict.fromkeys(clusters, 0)
        for arrow in picture.arrows:
            if arrow.rank != "free" and arrow.source != arrow.target:
                shared = _shared_depth(clusters[arrow.upper], clusters[arrow.lower])
                self._over[arrow.lower] = max(self._over[arrow.lower], shared)
                self._under[arrow.upper] = max(self._under[arrow.upper], shared)

    def first(self, path: tuple[str, ...]) -> list[str]:
        """List the boxes of a cluster with none of its boxes over them."""
        return [key for key in self._members[path] if self._over[key] < len(path)]

    def last(self, path: tuple[str, ...]) -> list[str]:
        """List the boxes of a cluster with none of its boxes under them."""
        return [key for key in self._members[path] if self._under[key] < len(path)]


def _shared_depth(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Count the clusters that two boxes share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _title_and_legend(picture: Picture) -> str:
    """Write the graph's label as an HTML-like table: the title over one coloured cell per kind."""
    if not picture.legend:
        return quoted(picture.title)
    cells = "".join(
        f'<TD BGCOLOR="{box_style(kind).fill}" COLOR="{box_style(kind).stroke}" BORDER="1">{_cell_text(text)}</TD>'
        for kind, text in picture.legend
    )
    title = _cell_text(picture.title) or " "
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="4">'
        f'<TR><TD COLSPAN="{len(picture.legend)}"><B>{title}</B></TD></TR><TR>{cells}</TR></TABLE>>'
    )


def _cell_text(text: str) -> str:
    return "<BR/>".join(xml_text(line) for line in label_lines((text,)))


def tooltip_of(box: Box) -> str:
    """Give the text shown while the pointer rests on `box`: its tooltip, else its whole label."""
    return box.tooltip or "\n".join(box.lines)
