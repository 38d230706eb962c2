"""Chapters: a graph loads the rules that it may need, and those say truly which graphs need them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.ops as ops
from graphad.ir.op import OPS
from graphad.passes import PASSES, RULES, optimize
from graphad.passes.chapters import Chapter, RewritePass
from graphad.passes.patterns import Application, Pattern, names_in

ops.load_all()
CHAPTERS = [part for each in PASSES.values() if isinstance(each, RewritePass) for part in each.parts]
WITHOUT_SUCH_OPS_IN_THE_PATTERN = {"div_by_reciprocal", "cancel_positive"}
"""Rules of `stabilize` whose functions look for exp and sigmoid."""


def applications(root: Pattern) -> Iterator[Application]:
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, Application):
            yield item
            stack += item.operands


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.module)
def test_a_chapter_names_an_op_of_each_pattern(chapter: Chapter) -> None:
    assert chapter.ops <= set(OPS)
    for rule in chapter.rules:
        assert rule.fast_math is chapter.fast_math
        if chapter.ops and rule.name not in WITHOUT_SUCH_OPS_IN_THE_PATTERN:
            for pattern in rule.patterns:
                assert any(getattr(each.op, "name", "") in chapter.ops for each in applications(pattern)), rule.name


def test_own_rules_ask_for_what_their_patterns_capture() -> None:
    for rule in RULES.values():
        for pattern in rule.patterns:
            assert set(rule.parameters) <= {*names_in(pattern), "root", "uses"}, rule.name


def test_own_rules_have_names_of_their_own() -> None:
    own = {id(rule): rule.name for chapter in CHAPTERS for rule in chapter.rules}
    assert len(own) == len(set(own.values()))


def test_a_rule_may_bring_what_another_chapter_is_about() -> None:
    # x * -1 becomes -x, which no node of the graph was: only then do the rules about signs apply.
    best = optimize(ga.trace(lambda x, y: x + y * -1.0, np.ones(3), np.ones(3)), passes=("algebra",))
    assert [node.op.name for node in best.nodes[2:]] == ["sub"]


LOADED = """
import sys, numpy as np, graphad as ga
ga.optimize(ga.trace({function}, np.ones((3, 3))))
print(*[name.rpartition(".")[2] for name in sys.modules if name.startswith("graphad.passes.")])
"""


@pytest.mark.parametrize(
    ("function", "loaded"),
    [
        ("lambda x: x @ x * 2", set()),
        ("lambda x: np.log(x)", {"stabilize"}),
        ("lambda x: x[1:] @ x", {"slices", "narrow"}),
        ("lambda x: -x", {"signs"}),
        ("lambda x: np.where(x > 0, x, 1)", {"choices"}),
    ],
)
def test_a_graph_loads_the_chapters_it_needs(function: str, loaded: set[str]) -> None:
    code = LOADED.format(function=function)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late = {"stabilize", "signs", "choices", "slices", "narrow", "fast_math"}
    assert late & set(done.stdout.split()) == loaded


def test_a_name_is_taken_before_its_chapter_is_loaded() -> None:
    code = "import graphad as ga\n@ga.rule(ga.variables('x')[0] + 0)\ndef {name}(x): return x\n"
    free = subprocess.run([sys.executable, "-c", code.format(name="mine")], check=False)
    taken = subprocess.run([sys.executable, "-c", code.format(name="log_exp")], capture_output=True, check=False)
    assert free.returncode == 0
    assert b"rule name 'log_exp' is taken" in taken.stderr


def test_a_rule_goes_by_name_before_its_chapter_is_loaded() -> None:
    code = "import numpy as np, graphad as ga\ng = ga.trace(lambda x: np.log(np.exp(x)), np.ones(3))\n"
    code += "print(len(ga.optimize(g, passes=('log_exp',)).nodes))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
