"""The pipeline: which passes run, in which order, and `optimize`, which runs and reports them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from graphad.ir.collector import collector_paused
from graphad.ir.errors import PassError
from graphad.ir.frozen import frozen, replace
from graphad.ir.graph import Graph
from graphad.loading import load_module
from graphad.passes.chapters import Chapter, RewritePass
from graphad.passes.contract import contract
from graphad.passes.cse import cse
from graphad.passes.driver import Journal
from graphad.passes.fold import fold
from graphad.passes.report import Counted, PassReport, Report
from graphad.passes.rules import RULES, Rule

if TYPE_CHECKING:
    from graphad.passes.driver import Pass


@frozen
class LatePass:
    """A pass that is the function `run` of a module, which is loaded when the pass first runs."""

    name: str
    text: str

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Load the module and run it."""
        result: Graph = load_module(f"graphad.passes.{self.name}").run(graph, journal)
        return result


dce = LatePass("dce", "Drop nodes that no output depends on; inputs stay.")

fuse = LatePass("fuse", "Group elementwise ops, with the broadcasts of their operands, into Fused nodes.")

stabilize = RewritePass(
    "stabilize",
    "Compute what was meant where the original overflows, cancels or is undefined.",
    (Chapter("stabilize", frozenset({"exp", "expit", "expm1", "log", "log1p", "sqrt"})),),
)

_CHOICES = (
    "maximum minimum fmax fmin bitwise_and bitwise_or where logical_not logical_and logical_or invert stop_gradient"
)

algebra = RewritePass(
    "algebra",
    "Apply identities that keep every bit; under fast_math also those of real numbers.",
    (
        Chapter("algebra"),
        Chapter("signs", frozenset({"neg", "abs"})),
        Chapter("choices", frozenset(_CHOICES.split())),
        Chapter("movement"),
        Chapter("slices", frozenset({"slice", "concatenate", "pad", "flip"})),
        Chapter("fast_math", fast_math=True),
    ),
)

PIPELINE: tuple[Pass, ...] = (fold, stabilize, cse, algebra, cse, contract, fuse)
"""The order: `stabilize` comes before any canonical form can hide its patterns."""

UNGROUPED: tuple[Pass, ...] = PIPELINE[:-1]
"""The same without groups, for an executor that makes its own."""

PASSES: dict[str, Pass] = {each.name: each for each in (dce, *PIPELINE)}
"""Every pass by name."""

_extensions: dict[str, tuple[Rule, ...]] = {}

PassLike: TypeAlias = "Pass | Rule | Callable[[Graph], Graph] | str"


@frozen
class FunctionPass:
    """A user's function from graph to graph, as a pass."""

    name: str
    function: Callable[[Graph], Graph]

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Call the function."""
        return self.function(graph)


@frozen
class Recompute:
    """The pass that keeps a budget of memory (`graphad.plan.remat`)."""

    memory_budget: int | str
    name = "recompute"

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Add recomputation where the graph needs more than the budget."""
        from graphad.plan.amounts import amount_bytes
        from graphad.plan.remat import with_budget

        found = with_budget(graph, None, None, amount_bytes(self.memory_budget))
        before, after = (sum(node.role == "recompute" for node in each.nodes) for each in (graph, found))
        if after > before:
            journal.counts["node computed again"] += after - before
        return found


def register_pass(function: Callable[[Graph], Graph] | Pass, name: str | None = None) -> Pass:
    """Make `function`, from graph to graph, a pass that `passes=` can name; usable as a decorator.

    Raises ValueError where another pass has the name.
    """
    made = _as_pass(function)
    if name is not None and isinstance(made, FunctionPass):
        made = replace(made, name=name)
    known = PASSES.get(made.name)
    if known is not None and not (isinstance(known, FunctionPass) and isinstance(made, FunctionPass)):
        raise ValueError(f"pass name {made.name!r} is taken")
    PASSES[made.name] = made
    return made


def every_rule() -> Mapping[str, Rule]:
    """Load the rules of all passes; return them, and those that people added, by name."""
    for each in PASSES.values():
        if isinstance(each, RewritePass):
            _ = each.rules
    return RULES


def extend(name: str, rule: Rule) -> None:
    """Add a rule to the rewriting pass of that name, wherever it runs."""
    if not isinstance(PASSES.get(name), RewritePass):
        known = ", ".join(n for n, p in PASSES.items() if isinstance(p, RewritePass))
        raise ValueError(f"no rewriting pass is named {name!r}; there are {known}")
    others = tuple(r for r in _extensions.get(name, ()) if r.name != rule.name)
    _extensions[name] = (*others, rule)


def _as_pass(item: PassLike) -> Pass:
    if isinstance(item, str):
        found: Pass | Rule | None = PASSES.get(item) or every_rule().get(item)
        if found is None:
            raise ValueError(f"no pass is named {item!r}; there are {', '.join(PASSES)}, and the rules by name")
        return _as_pass(found)
    if isinstance(item, Rule):
        return RewritePass(item.name, item.text, (item,))
    if isinstance(item, RewritePass):
        return replace(item, parts=item.parts + _extensions.get(item.name, ()))
    if hasattr(item, "run") and hasattr(item, "name"):
        return item
    if callable(item):
        return FunctionPass(getattr(item, "__name__", "pass"), item)
    raise TypeError(f"a pass is a function from graph to graph, a rule, or a name, not {type(item).__name__}")


def optimize(
    graph: Graph,
    passes: Iterable[PassLike] = PIPELINE,
    fast_math: bool = False,
    verify: bool = False,
    memory_budget: int | str | None = None,
) -> Graph:
    """Return a graph with the same results that costs less; its `report` says what each pass did.

    Args:
        graph: any graph, with symbolic sizes or without.
        passes: what runs, in order: passes, rules, functions from graph to graph, or names of registered ones.
        fast_math: also apply rules that change IEEE results (``x * 0 -> 0``, ``x / x -> 1``, reassociation).
        verify: after every pass check the graph's invariants, run it and the graph before it on random inputs, and
            compare.
        memory_budget: bytes, or text like "140MB", that the graph's arena and results may take when it runs as it is
            (`plan(graph).peak_bytes`): the last pass adds what must be computed again, as nodes of the role
            "recompute". Sizes must be known. `compile(..., memory=)` keeps a budget on any executor.

    Without `fast_math`, `fold`, `cse`, `algebra` and `fuse` keep every bit of the results (the sign of a nan aside);
    `stabilize` changes them where the original loses digits or overflows, `contract` by reordering matrix products
    (rounding in the last digits).

    Raises:
        PassError: a pass or rule broke its contract; the message names it and the user's line.
        MemoryBudgetError: nothing was found that keeps `memory_budget`.
    """
    if not isinstance(graph, Graph):
        raise TypeError(
            f"optimize takes a Graph, not a {type(graph).__name__}: trace a function first, "
            "ga.optimize(ga.trace(f, *examples)), or use ga.jit, which does both"
        )
    with collector_paused():
        chosen = [_as_pass(item) for item in passes]
        if memory_budget is not None:
            chosen.append(Recompute(memory_budget))
        return _run(graph, chosen, fast_math, verify)


def _run(graph: Graph, passes: Sequence[Pass], fast_math: bool, verify: bool) -> Graph:
    reports: list[PassReport] = []
    before = Counted(graph)
    for each in passes:
        journal = Journal(fast_math=fast_math)
        started = time.perf_counter()
        result = each.run(graph, journal)
        seconds = time.perf_counter() - started
        _check_signature(each.name, graph, result)
        if verify:
            from graphad.passes.check import check_pass

            check_pass(each.name, graph, result)
        after = before if result is graph else Counted(result)
        reports.append(PassReport(each.name, dict(journal.counts), tuple(journal.rewrites), before, after, seconds))
        graph, before = result, after
    return graph.with_report(Report(tuple(reports)))


def _check_signature(name: str, before: Graph, after: Graph) -> None:
    if not isinstance(after, Graph):
        raise PassError(f"pass {name} returned a {type(after).__name__}, not a Graph")
    same: Sequence[bool] = (
        before.input_types == after.input_types,
        before.input_names == after.input_names,
        before.output_types == after.output_types,
        before.output_names == after.output_names,
    )
    if not all(same):
        raise PassError(f"pass {name} changed the inputs or outputs of the graph: {before!r} became {after!r}")
