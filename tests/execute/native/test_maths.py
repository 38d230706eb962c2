"""All functions of the native executor: equal lanes, errors within their bounds, and the page that tells the errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("scipy")

sys.path.insert(0, str(Path(__file__).parent))
from maths_machine import CASES, WIDE_ENOUGH, bits, cases, every, machine, special_numbers, table


@every(cases.CASES)
def test_lanes_do_not_change_a_bit(name: str, kind: str) -> None:
    case, loops = CASES[name], machine(name, kind)
    sets = [operands for _, operands in table.sets(case, kind, 10_007)]
    numbers = np.resize(special_numbers(kind), 997)
    sets += [table.bit_patterns(kind, case.arity, 10_007), [numbers, numbers[::-1].copy()][: case.arity]]
    for operands in sets:
        scalar = bits(loops.run(1, operands))
        for count in loops.counts[1:]:
            np.testing.assert_array_equal(bits(loops.run(count, operands)), scalar)


@every(cases.CASES)
def test_error_is_small(name: str, kind: str) -> None:
    case, loops = CASES[name], machine(name, kind)
    if case.exact is None and not WIDE_ENOUGH[kind]:
        pytest.skip("this machine has no wider format")
    for _, operands in table.sets(case, kind, 100_000):
        errors = table.errors(case, kind, loops.run(loops.counts[1], operands), operands, many=150)
        worst = int(np.argmax(errors))
        assert errors[worst] <= case.bound, [x[worst] for x in operands]


PAGE = {}
for line in table.PAGE.read_text(encoding="utf-8").splitlines():
    if line.startswith("| `"):
        cells = line.strip("| ").split(" | ")
        PAGE[cells[0].strip("`"), cells[1], cells[2]] = float(cells[3])


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_the_page_has_what_is_measured(case: Any) -> None:
    for kind in table.KINDS:
        names = [text for text, _ in table.sets(case, kind, 1)]
        assert [key[2] for key in PAGE if key[:2] == (case.name, kind)] == names, "run python tools/maths_table.py"
        assert all(PAGE[case.name, kind, name] <= case.bound for name in names)
