"""Tasks: the problem of ordering, steps that touch blocks of memory.

Tasks are numbered in some valid order; a block is held from the first task that touches it until all that touch it have
run. Sets of tasks are integers, a bit a task. What may enter: what follows from the problem alone, nothing of a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphad.ir.frozen import frozen


@frozen(slots=True, eq=False)
class Tasks:
    """Tasks and the memory they touch.

    Attributes:
        needs: bits of the tasks that each task waits for.
        followers: the tasks that wait for each task.
        blocks: the blocks each task touches.
        sizes: bytes of each block.
        touching: bits of the tasks that touch each block.
        reusable: of each task, the blocks that what it makes may take over where they die there.
        related: bits of the tasks that each task waits for, that wait for it, or that touch a block of it.
    """

    needs: list[int]
    followers: list[tuple[int, ...]]
    blocks: list[tuple[int, ...]]
    sizes: list[int]
    touching: list[int]
    reusable: list[tuple[int, ...]]
    related: list[int]


def make_tasks(
    needs: Sequence[int],
    followers: Sequence[Sequence[int]],
    blocks: Sequence[Sequence[int]],
    sizes: Sequence[int],
    reusable: Sequence[Sequence[int]],
) -> Tasks:
    """Return tasks from what each waits for (bits), what waits for it, the blocks it touches, and their sizes."""
    touching = [0] * len(sizes)
    for task, found in enumerate(blocks):
        for b in found:
            touching[b] |= 1 << task
    related = list(needs)
    for task, found in enumerate(blocks):
        for other in followers[task]:
            related[task] |= 1 << other
        for b in found:
            related[task] |= touching[b]
    return Tasks(
        list(needs),
        [tuple(each) for each in followers],
        [tuple(each) for each in blocks],
        list(sizes),
        touching,
        [tuple(each) for each in reusable],
        related,
    )


def without_small(tasks: Tasks, size: int) -> Tasks:
    """Return the problem in which blocks smaller than `size` need no memory: a bound of it is one of `tasks`."""
    large = [b for b, each in enumerate(tasks.sizes) if each >= size]
    position = {b: k for k, b in enumerate(large)}
    return make_tasks(
        tasks.needs,
        tasks.followers,
        [[position[b] for b in found if b in position] for found in tasks.blocks],
        [tasks.sizes[b] for b in large],
        [[position[b] for b in found if b in position] for found in tasks.reusable],
    )


def bits(number: int) -> Iterator[int]:
    """Yield the positions of the bits of a number that are set, the lowest first."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def effect(tasks: Tasks, done: int, task: int) -> tuple[int, int]:
    """Return the bytes a task holds beyond what was held before, and how many more are held after it."""
    sizes, touching = tasks.sizes, tasks.touching
    after = done | 1 << task
    new = freed = 0
    for b in tasks.blocks[task]:
        touch = touching[b]
        if not touch & done:
            new += sizes[b]
        if touch & after == touch:
            freed += sizes[b]
    transient = new
    if new:
        for b in tasks.reusable[task]:
            touch = touching[b]
            if touch & after == touch and touch & done:
                transient -= sizes[b]
                break
    return transient, new - freed


def held_at(tasks: Tasks, order: Sequence[int]) -> list[int]:
    """Return the most bytes held while each task of an order runs, in that order."""
    done = held = 0
    found: list[int] = []
    for task in order:
        transient, change = effect(tasks, done, task)
        found.append(held + transient)
        held += change
        done |= 1 << task
    return found


def peak_of(tasks: Tasks, order: Sequence[int]) -> int:
    """Return the most bytes held while the tasks run in this order."""
    return max(held_at(tasks, order), default=0)


def all_before(tasks: Tasks) -> list[int]:
    """Return the bits of the tasks that must have run before each task."""
    before: list[int] = []
    for needs in tasks.needs:
        found = needs
        for other in bits(needs):
            found |= before[other]
        before.append(found)
    return before


def all_after(tasks: Tasks) -> list[int]:
    """Return the bits of the tasks that cannot run before each task has."""
    after = [0] * len(tasks.needs)
    for task in reversed(range(len(after))):
        found = 0
        for other in tasks.followers[task]:
            found |= after[other] | 1 << other
        after[task] = found
    return after
