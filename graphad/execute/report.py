"""The report of an Executable: what it runs, what that costs, where its memory goes."""

from __future__ import annotations

from graphad.plan.arena import aligned
from graphad.plan.plan import PlacedBuffer, Plan
from graphad.plan.stats import stats

TOP_TENSORS = 10
EXECUTORS = {"reference": "reference: NumPy, op by op", "native": "native: machine code"}


def report(plan: Plan, executor: str = "reference") -> str:
    """Return steps, op counts, FLOPs, bytes, the peak, arena against lower bound, and the top tensors at the peak."""
    counts = stats(plan.graph)
    found = plan.lifetimes
    hosts = sum(1 for node in found.steps if node.op.allocates and not node.op.view)
    excess = plan.arena_bytes / plan.lower_bound_bytes - 1 if plan.lower_bound_bytes else 0.0
    lines = [
        f"executable {plan.graph.name} ({EXECUTORS[executor]})",
        f"  steps          {len(found.steps):,}: {found.in_place:,} in place, {hosts:,} with temporaries of their own",
        f"  ops            {', '.join(f'{name} {times}' for name, times in counts.by_op.items()) or 'none'}",
        f"  FLOPs          {counts.flops:,}",
        f"  bytes moved    {counts.bytes_moved:,}",
        f"  peak           {plan.peak_bytes:,} bytes = arena + results",
        f"  arena          {plan.arena_bytes:,} bytes, {excess:.1%} over the lower bound of {plan.lower_bound_bytes:,}",
        f"  results        {plan.result_bytes:,} bytes",
        f"  state          {plan.state_bytes:,} bytes",
        f"  constants      {plan.constant_bytes:,} bytes",
    ]
    step = plan.peak_step
    top = at_peak(plan)[:TOP_TENSORS]
    if top:
        lines.append(f"  largest in the arena at the peak (step {step}, {found.steps[step].op.name}):")
    for buffer in top:
        where = f"  {buffer.node.location.describe()}" if buffer.node.location else ""
        lines.append(f"    {aligned(buffer.size):>12,}  {buffer.label}  {buffer.node.role}{where}")
    return "\n".join(lines)


def at_peak(plan: Plan) -> list[PlacedBuffer]:
    """Return the buffers of the arena that are live at the peak, the largest first."""
    step = plan.peak_step
    live = [buffer for buffer in plan.placed() if buffer.start <= step <= buffer.end]
    return sorted(live, key=lambda buffer: -buffer.size)
