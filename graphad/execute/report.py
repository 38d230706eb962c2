"""The report of an Executable: what it runs, what that costs, where its memory goes."""

from __future__ import annotations

from collections import Counter

from graphad.plan.peak import peak_table, peak_tensors
from graphad.plan.plan import Plan
from graphad.plan.savings import recomputation
from graphad.plan.stats import stats

EXECUTORS = {"reference": "reference: NumPy, op by op", "native": "native: machine code"}
OPS_NAMED = 5


def report(plan: Plan, executor: str = "reference", budget: int | None = None) -> str:
    """Describe a plan as text.

    Returns steps, op counts, FLOPs and bytes; the arena against its lower bound, the peak, recomputation and, where a
    `budget` (bytes) is given, how much of it is left; and the largest tensors at the peak with their user lines.
    """
    counts = stats(plan.graph)
    found = plan.lifetimes
    hosts = sum(1 for node in found.steps if node.op.allocates and not node.op.view)
    apart = f", {hosts:,} with temporaries of their own" if executor == "reference" else ""
    excess = plan.arena_bytes / plan.lower_bound_bytes - 1 if plan.lower_bound_bytes else 0.0
    lines = [
        f"executable {plan.graph.name} ({EXECUTORS[executor]})",
        f"  steps          {len(found.steps):,}: {found.in_place:,} in place{apart}",
        f"  ops            {', '.join(f'{name} {times}' for name, times in counts.by_op.items()) or 'none'}",
        f"  FLOPs          {counts.flops:,}",
        f"  bytes moved    {counts.bytes_moved:,}",
        f"  peak           {plan.peak_bytes:,} bytes = arena + results",
        *_budget(plan, budget),
        *_recomputation(plan),
        f"  arena          {plan.arena_bytes:,} bytes, {excess:.1%} over the lower bound of {plan.lower_bound_bytes:,}",
        f"  results        {plan.result_bytes:,} bytes",
        *(_temporaries(plan) if executor == "reference" else []),
        f"  state          {plan.state_bytes:,} bytes",
        f"  constants      {plan.constant_bytes:,} bytes",
    ]
    tensors = peak_tensors(plan)
    if tensors:
        step = plan.peak_step
        at = f" (step {step}, {found.steps[step].op.name})" if found.steps else ""
        lines.append(f"  largest at the peak{at}:")
    lines += [f"    {line}" for line in peak_table(tensors)] if tensors else []
    return "\n".join(lines)


def _budget(plan: Plan, budget: int | None) -> list[str]:
    if budget is None:
        return []
    left = budget - plan.peak_bytes
    return [f"  budget         {budget:,} bytes: {left:,} are left for the executor's workspace"]


def _temporaries(plan: Plan) -> list[str]:
    """Say which op allocates most inside itself; nothing where none does."""
    nodes = [node for node in plan.lifetimes.steps if node.op.allocates and not node.op.view]
    taken = [(node.op.temporaries(node.input_types, node.types), node.op.name) for node in nodes]
    most, name = max(taken, default=(0, ""))
    return [f"  temporaries    {most:,} bytes at most, of {name}"] if most else []


def _recomputation(plan: Plan) -> list[str]:
    """Say what is computed again and what that costs; nothing where nothing is."""
    again = recomputation(plan.graph)
    if not again.nodes:
        return []
    kinds = Counter(node.op.name for node in again.nodes).most_common()
    named = ", ".join(f"{name} {times}" for name, times in kinds[:OPS_NAMED]) + (", ..." * (len(kinds) > OPS_NAMED))
    return [
        f"  recomputation  {len(again.nodes):,} ops ({named}), {again.flops:,} FLOPs: {again.share:.1%} more",
    ]
