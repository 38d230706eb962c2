"""Loops inside a formula: values carried from turn to turn until no lane goes on.

What may enter: what formulas need whose number of steps depends on the values. Loops over elements are `Code.loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphad.execute.native.lanes import Lanes


def repeat(
    start: Sequence[Lanes], goes_on: Callable[..., Lanes], step: Callable[..., Sequence[Lanes]]
) -> tuple[Lanes, ...]:
    """Return ``x = step(*x)``, repeated from `start` while ``goes_on(*x)``, a "bool", holds in some lane.

    All lanes take every turn: `step` leaves those as they are that are done.
    """
    code = start[0].code
    places = [code.slot(x.type) for x in start]
    _put(start, places)
    head, body, after = (code.new_label(stem) for stem in ("again", "turn", "settled"))
    code.jump(head)
    code.place(head)
    state = tuple(x.with_(f"load {x.type}, ptr {place}, align 64") for x, place in zip(start, places, strict=True))
    code.branch(goes_on(*state).any().text, body, after)
    code.place(body)
    _put(step(*state), places)
    code.jump(head)
    code.place(after)
    return state


def _put(values: Sequence[Lanes], places: Sequence[str]) -> None:
    for x, place in zip(values, places, strict=True):
        x.code.line(f"store {x.type} {x.text}, ptr {place}, align 64")
