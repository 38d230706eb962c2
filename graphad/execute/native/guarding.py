"""Guards in machine code: what they find about a run, and where it stands for machine code and Python to read.

A guard that finds a position outside its axis condemns the run. The run goes on, because nothing reads or writes
outside whatever the positions are; steps that write state heed the verdict and do nothing. Whoever started the run
looks at the verdict behind it, throws the results away, and says what the guard found.

What may enter: the layout of verdicts, the kernel of a guard, and reading both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native.addresses import Guard
from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, load
from graphad.execute.native.lowering import Lowered, lowers_step
from graphad.ir.errors import ExecutionError
from graphad.ir.frozen import frozen
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES

Array = np.ndarray[Any, Any]

GUARD_NS: Final = 2.0
"""Expected time of a guard, once the lowest and the highest position are known."""


@frozen(slots=True, eq=False)
class Verdicts:
    """What the guards of a program found in its last run: one run at a time.

    Attributes:
        places: the guards, and which words are theirs.
        words: i64; first whether any guard condemned the run, then two for each: whether it did, and the position.
    """

    places: Mapping[Node, int]
    words: Array

    @property
    def address(self) -> int:
        """Return the address of the first word, 0 for a program without guards."""
        return self.words.ctypes.data if self.places else 0

    def condemned(self) -> Array:
        """Return the word that all guards share."""
        return self.words[:1]

    def finding(self, node: Node) -> Array:
        """Return the words of a guard."""
        at = self.places[node]
        return self.words[at : at + 2]

    def clear(self) -> None:
        """Forget the last run: whoever runs steps from Python does so before."""
        self.words[:] = 0

    def obey(self) -> None:
        """Raise the ExecutionError that the reference executor raises, if a guard has condemned the run."""
        if not self.places or not self.words[0]:
            return
        failed = [node for node, at in self.places.items() if self.words[at]]
        node = min(failed, key=lambda node: _guard(node).number)
        guard, words = _guard(node), self.finding(node)[1:]
        worst = int(words.view(np.uint64)[0] if node.inputs[0].type.dtype.kind == "u" else words[0])
        self.clear()
        error = guard.error(worst)
        raise ExecutionError(f"{guard.reader} failed: {error}", location=node.location) from error


def verdicts(nodes: Sequence[Node]) -> Verdicts:
    """Return the verdicts of the guards among the nodes of a graph."""
    guards = [node for node in nodes if isinstance(node.op, Guard)]
    return Verdicts({node: 1 + 2 * k for k, node in enumerate(guards)}, np.zeros(1 + 2 * len(guards), np.int64))


def _guard(node: Node) -> Guard:
    assert isinstance(node.op, Guard)
    return node.op


@lowers_step(Guard)
def _lowered(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered:
    """Pointers are the lowest and the highest position, the last of the axis, and the words of the verdict."""
    kind = DTYPE_NAMES[operands[0].dtype]
    name = f"guard_{kind}"
    if not module.has(name):
        _write(begin_kernel(module, name), kind)
    return Lowered((Kernel(name, (_guard(node).size,)),), GUARD_NS)


def _write(code: Code, kind: str) -> None:
    wide = "u64" if kind[0] == "u" else "i64"
    low, high = (load(code, kind, pointer(code, k)).convert(wide) for k in range(2))
    last, finding, condemned = (pointer(code, k) for k in range(2, 5))
    count = Lanes(code, wide, 1, size(code, 0))
    above = high >= count
    below = high.constant(False, "bool") if kind[0] == "u" else low < -count
    fails = above | below
    worst = below.select(low, high)
    code.line(f"store i64 {fails.convert('i64').text}, ptr {finding}, align 8")
    code.line(f"store i64 {worst.text}, ptr {code.value(f'getelementptr i64, ptr {finding}, i64 1')}, align 8")
    code.line(f"store i64 {(count - 1).text}, ptr {last}, align 8")
    with code.when(fails.text):
        # Threads that run later steps read it; only guards write it, and only this.
        code.line(f"store atomic i64 1, ptr {condemned} monotonic, align 8")
    code.line("ret void")
