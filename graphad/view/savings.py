"""The savings of a plan as a waterfall: a bar for each stage, what it saved drawn above it. Door: `Savings.to_svg`.

What may enter: drawing what `graphad.plan.savings` found.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphad.plan.savings import Savings, Stage
from graphad.view.drawing import MUTED_COLOUR, Style
from graphad.view.lettering import xml_text
from graphad.view.svg import MARGIN, number, set_heading, svg_opening
from graphad.view.timeline import (
    ARENA_HEIGHT,
    AXIS_LEFT,
    AXIS_RIGHT,
    BOUND_COLOUR,
    PEAK_COLOUR,
    PLOT_WIDTH,
    TICK_SIZE,
    Axes,
    buffer_style,
    byte_text,
    draw_bytes,
)

_BAR_SHARE = 0.6
_SAVED = Style("#ffffff", "#00694e", dashed=True)
_BOUND = Style("#ffffff", BOUND_COLOUR, dashed=True)
_BELOW = 56.0


def savings_to_svg(savings: Savings) -> str:
    """Draw the arena of each stage as a bar, and over it, dashed, what the stage saved."""
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    title = f"what the plan of {savings.graph} saves"
    legend = [
        (buffer_style("activation"), "arena"),
        (_SAVED, "saved by the stage"),
        (_BOUND, "most bytes live at once"),
    ]
    legend.append((buffer_style("output"), f"output {byte_text(savings.result_bytes)}, outside"))
    head = set_heading(title, legend, width)
    top = MARGIN + head.height + 18.0
    most = max(stage.arena_bytes for stage in savings.stages)
    axes = Axes(MARGIN + AXIS_LEFT, top, PLOT_WIDTH, ARENA_HEIGHT, len(savings.stages), most)
    out = [
        svg_opening(width + 2 * MARGIN, top + ARENA_HEIGHT + _BELOW + MARGIN, title),
        *head.elements,
        *draw_bytes(axes, "arena"),
        *(line for k in range(len(savings.stages)) for line in _bar(savings, k, axes)),
        *_budget(savings, axes),
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def _bar(savings: Savings, position: int, axes: Axes) -> Iterator[str]:
    stage = savings.stages[position]
    before = savings.stages[position - 1] if position else stage
    slot = axes.width / axes.steps
    width = slot * _BAR_SHARE
    x = axes.x(position) + (slot - width) / 2
    middle, floor, top = x + width / 2, axes.top + axes.height, axes.y(stage.arena_bytes)
    style = buffer_style("recompute" if stage.name == "recomputation" else "activation")
    bound = axes.y(stage.lower_bound_bytes)
    tip = (
        f"{stage.name}: arena {stage.arena_bytes:,} bytes, most live at once {stage.lower_bound_bytes:,}\n{stage.note}"
    )
    yield (
        f"<g><title>{xml_text(tip)}</title>"
        f'<rect x="{number(x)}" y="{top:.2f}" width="{number(width)}" height="{floor - top:.2f}" '
        f'fill="{style.fill}" stroke="{style.stroke}"/>'
        f'<path d="M{number(x)},{bound:.2f}h{number(width)}" stroke="{BOUND_COLOUR}" stroke-dasharray="6 4"/>'
    )
    if position:
        yield from _saved(before, stage, x, width, axes)
    inside = floor - top >= 24.0
    size_at = top + 17.0 if inside else top - 6.0
    yield (
        f'<text x="{number(middle)}" y="{number(size_at)}" text-anchor="middle" font-weight="bold">'
        f"{byte_text(stage.arena_bytes)}</text>"
        f'<text x="{number(middle)}" y="{number(floor + 20)}" text-anchor="middle">{xml_text(stage.name)}</text>'
        f'<text x="{number(middle)}" y="{number(floor + 37)}" text-anchor="middle" font-size="{TICK_SIZE:g}" '
        f'fill="{MUTED_COLOUR}">{xml_text(stage.note)}</text></g>'
    )


def _saved(before: Stage, stage: Stage, x: float, width: float, axes: Axes) -> Iterator[str]:
    """Draw the difference to the stage before as a dashed box, with the share in it or over it."""
    old, new = axes.y(before.arena_bytes), axes.y(stage.arena_bytes)
    slot = axes.width / axes.steps
    reach = x - (slot - width)
    yield (
        f'<path d="M{number(reach)},{number(old)}H{number(x + width)}" stroke="{MUTED_COLOUR}" stroke-dasharray="1 3"/>'
    )
    saved = before.arena_bytes - stage.arena_bytes
    if not saved:
        text = "nothing saved"
    elif saved > 0:
        text = f"−{saved / before.arena_bytes:.1%} (−{byte_text(saved)})"
    else:
        text = f"+{-saved / max(before.arena_bytes, 1):.1%} (+{byte_text(-saved)})"
    if saved > 0:
        yield (
            f'<rect x="{number(x)}" y="{old:.2f}" width="{number(width)}" height="{new - old:.2f}" fill="none" '
            f'stroke="{_SAVED.stroke}" stroke-dasharray="4 2.5"/>'
        )
    # In the dashed box where it is high enough, else under the size, inside the bar.
    high, floor = new - old, axes.top + axes.height
    y = (old + new) / 2 + 4.0 if high >= 18.0 else new + 34.0 if floor - new >= 44.0 else old - 22.0
    yield (
        f'<text x="{number(x + width / 2)}" y="{number(y)}" text-anchor="middle" fill="{_SAVED.stroke}">{text}</text>'
    )


def _budget(savings: Savings, axes: Axes) -> Iterator[str]:
    """Draw what the budget leaves for the arena, where it lies within the picture."""
    if savings.budget is None:
        return
    room = savings.budget - savings.result_bytes
    text = f"budget {byte_text(savings.budget)}: {byte_text(max(room, 0))} for the arena"
    if 0 < room <= axes.bytes:
        y = number(axes.y(room))
        yield (
            f'<path d="M{number(axes.left)},{y}h{number(axes.width)}" stroke="{PEAK_COLOUR}" '
            f'stroke-width="1.3" stroke-dasharray="8 4"/>'
        )
    yield (
        f'<text x="{number(axes.left + axes.width)}" y="{number(axes.top - 8)}" text-anchor="end" '
        f'fill="{PEAK_COLOUR}">{text}</text>'
    )
