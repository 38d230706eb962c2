"""The peak as a picture: the largest tensors that are held, as bars, with the user's lines. Door: `Plan.peak_svg`.

What may enter: drawing what `graphad.plan.peak` found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from graphad.plan.peak import SHOWN, PeakTensor
from graphad.plan.plan import Plan
from graphad.view.drawing import MUTED_COLOUR
from graphad.view.lettering import FONT_SIZE, text_width, xml_text
from graphad.view.memory import step_names, written
from graphad.view.svg import MARGIN, number, set_heading, svg_opening
from graphad.view.timeline import AXIS_LEFT, AXIS_RIGHT, PLOT_WIDTH, WIDER, buffer_style, byte_text, fitted

_ROW = 40.0
_BYTES_RIGHT = 74.0
_BAR_LEFT = 84.0
_BAR_WIDTH = 280.0
_WORDS_LEFT = 380.0
_WORDS_WIDTH = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT - _WORDS_LEFT


def plan_to_peak_svg(plan: Plan, path: str | os.PathLike[str] | None = None) -> str:
    """Draw the largest tensors at the peak of `plan` as SVG text, and write it to `path` if given.

    Raises OSError if `path` cannot be written.
    """
    tensors = plan.peak_tensors()
    steps = step_names(plan)
    held = byte_text(sum(tensor.bytes for tensor in tensors))
    at = f" at step {plan.peak_step} ({steps[plan.peak_step]})" if steps else ""
    return written(peak_to_svg(f"peak of {plan.graph.name}: {held}{at}", tensors), path)


def peak_to_svg(title: str, tensors: Sequence[PeakTensor]) -> str:
    """Draw the first `SHOWN` of `tensors`, which come largest first, as bars beside their names and lines."""
    shown = tensors[:SHOWN]
    width = AXIS_LEFT + PLOT_WIDTH + AXIS_RIGHT
    totals: dict[str, int] = {}
    for tensor in tensors:
        totals[tensor.memory_class] = totals.get(tensor.memory_class, 0) + tensor.bytes
    legend = [(buffer_style(kind), f"{kind} {byte_text(total)} in all") for kind, total in totals.items()]
    head = set_heading(title, legend, width)
    top = MARGIN + head.height + 6.0
    most = max((tensor.bytes for tensor in tensors), default=0)
    rest = tensors[SHOWN:]
    out = [
        svg_opening(width + 2 * MARGIN, top + _ROW * len(shown) + (24.0 if rest else 4.0) + MARGIN, title),
        *head.elements,
        *(line for k, tensor in enumerate(shown) for line in _row(tensor, top + k * _ROW, most)),
    ]
    if rest:
        text = f"{len(rest):,} more, {byte_text(sum(tensor.bytes for tensor in rest))} together"
        y = number(top + _ROW * len(shown) + 16.0)
        out.append(f'<text x="{number(MARGIN + _WORDS_LEFT)}" y="{y}" fill="{MUTED_COLOUR}">{text}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _row(tensor: PeakTensor, y: float, most: int) -> Iterator[str]:
    style = buffer_style(tensor.memory_class)
    length = _BAR_WIDTH * tensor.bytes / max(most, 1)
    inside = f": {tensor.inside}" if tensor.inside else ""
    steps = f"{tensor.bytes:,} bytes, steps {tensor.start} to {tensor.end}"
    turns = f", {tensor.sharing} values lie here in turn" if tensor.sharing > 1 else ""
    scope = f"\nscope {tensor.scope}" if tensor.scope else ""
    tip = f"{tensor.op} {tensor.type}{inside}\n{steps}{turns}\n{tensor.place}{scope}"
    words = MARGIN + _WORDS_LEFT
    kind = tensor.memory_class if tensor.memory_class == tensor.role else f"{tensor.memory_class}, {tensor.role}"
    kind = fitted(kind, _WORDS_WIDTH / 3, FONT_SIZE)
    name = fitted(f"{tensor.op} {tensor.type}{inside}", _WORDS_WIDTH - text_width(kind) * WIDER - 8.0, FONT_SIZE)
    yield (
        f"<g><title>{xml_text(tip)}</title>"
        f'<text x="{number(MARGIN + _BYTES_RIGHT)}" y="{number(y + 20)}" text-anchor="end">'
        f"{byte_text(tensor.bytes)}</text>"
        f'<rect x="{number(MARGIN + _BAR_LEFT)}" y="{number(y + 5)}" width="{length:.2f}" height="{number(_ROW - 16)}" '
        f'fill="{style.fill}" stroke="{style.stroke}"/>'
        f'<text x="{number(words)}" y="{number(y + 13)}">'
        f"{xml_text(name)}"
        f'<tspan dx="8" fill="{MUTED_COLOUR}">{xml_text(kind)}</tspan></text>'
        f'<text x="{number(words)}" y="{number(y + 28)}" fill="{MUTED_COLOUR}" font-size="11">'
        f"{xml_text(fitted(tensor.place, _WORDS_WIDTH, 11.0))}</text></g>"
    )
