"""Keeping: what is chosen costs least for the bytes it takes, and the choice follows the room there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphad.plan.items import Items
from graphad.plan.keeping import STRONG, Keeping, Preference
from graphad.plan.policies import POLICIES, Play, play_below

FORWARD = 9


def random_items(seed: int) -> Items:
    """Return items that read earlier ones, and then one reader of each, in reverse order."""
    rng = np.random.default_rng(seed)
    operands: list[tuple[int, ...]] = [
        tuple(sorted({int(o) for o in rng.integers(max(k - 4, 0), k, rng.integers(1, 3))})) if k else ()
        for k in range(FORWARD)
    ]
    operands += [(k, FORWARD + n - 1) if n else (k,) for n, k in enumerate(reversed(range(FORWARD)))]
    count = len(operands)
    sizes = [int(n) for n in rng.integers(1, 9, FORWARD)] + [1] * FORWARD
    seconds = [float(n) for n in rng.integers(1, 9, count)]
    return Items(operands, sizes, seconds, [k == count - 1 for k in range(count)], [()] * count)


def seconds_again(items: Items, keeping: Keeping, kept: frozenset[int]) -> float:
    """Return the seconds that making all again takes that is read after the turn, and is not kept."""
    turn = keeping.turn
    stack = [o for item in range(turn + 1, len(items.sizes)) for o in items.operands[item] if o <= turn]
    found: set[int] = set()
    while stack:
        item = stack.pop()
        if item not in found and item not in kept:
            found.add(item)
            stack += items.operands[item]
    return sum(items.seconds[item] for item in found)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_saves_most_for_its_bytes(seed: int) -> None:
    items = random_items(seed)
    keeping = Keeping(items)
    there = {keeping.turn, *items.operands[keeping.turn]}  # for nothing
    sizes = [0 if item in there else items.sizes[item] for item in range(keeping.turn + 1)]
    subsets = [
        frozenset(found) for n in range(len(sizes) + 1) for found in itertools.combinations(range(len(sizes)), n)
    ]
    costs = [(sum(sizes[k] for k in each), seconds_again(items, keeping, each)) for each in subsets]
    seen = set()
    for room in range(sum(sizes) + 1):
        factors = keeping.preference(room).factors
        kept = frozenset(np.flatnonzero(factors == STRONG).tolist())
        size = sum(sizes[k] for k in kept)
        seen.add(size)
        assert size <= room
        assert seconds_again(items, keeping, kept) == min(cost for held, cost in costs if held <= size)
        assert not factors[keeping.turn + 1 :].max() > 1
    assert len(seen) > 2


def test_a_preference_goes_before_the_policy() -> None:
    """Of three equal values that are read after the turn, two are kept: those that are preferred."""
    # The turn is 3, which needs room; 5 to 7 read 0, 1 and 2 after it.
    operands: list[tuple[int, ...]] = [(), (), (), (), (3,), (0, 4), (1, 5), (2, 6)]
    items = Items(operands, [4, 4, 4, 4, 1, 1, 1, 1], [1.0] * 8, [False] * 7 + [True], [()] * 8)
    for given_up in range(3):
        factors = np.ones(8)
        factors[[k for k in range(3) if k != given_up]] = STRONG
        for policy in POLICIES:
            found = play_below(items, 14, policy, np.inf, Preference(3, factors))
            assert isinstance(found, Play)
            assert [item for item in range(3) if found.order.count(item) > 1] == [given_up]
