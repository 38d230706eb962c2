"""The report of a native program: its steps and kernels, what runs in NumPy, what it should take."""

from __future__ import annotations

from graphad.execute.native import blas
from graphad.execute.native.profile import Profile, costs
from graphad.execute.native.program import HostStep, NativeProgram

STEPS_SHOWN = 40


def report(program: NativeProgram, measured: Profile | None = None) -> str:
    """Return steps, kernels, host steps, and expected (and measured) times as text."""
    steps = costs(program)
    hosts = [step for step in program.order if isinstance(step, HostStep)]
    kernels = {step.kernel for step in steps if step.kernel != "(NumPy)"}
    library = blas.find()
    found = "none, products are generated" if library is None else f"{library.name} ({library.version})"
    lines = [
        f"native: {len(steps) - len(hosts)} steps of {len(kernels)} kernels, {len(hosts)} host steps, "
        f"{program.used_threads} thread(s), scratch {program.scratch_bytes:,} bytes",
        f"  BLAS           {found}",
        f"  expected       {1e6 * sum(s.expected for s in steps):,.1f} us of one thread, host steps not counted",
    ]
    again = sum(step.node.role == "recompute" and step.node.replica > 0 for step in program.order)
    if again:
        lines.append(f"  recomputation  {again:,} of the steps compute again what was given up")
    times = {step.number: step.measured for step in measured.steps} if measured else {}
    if measured:
        lines.append(f"  measured       {1e6 * measured.seconds:,.1f} us, step by step")
    head = f"  {'step':>5} {'us':>9} {'measured':>9} {'FLOPs':>13} {'bytes':>13} {'units':>7}  kernel"
    lines.append(head)
    for step in steps[:STEPS_SHOWN]:
        time = times.get(step.number)
        shown = "" if time is None else f"{1e6 * time:.1f}"
        lines.append(
            f"  {step.number:5d} {1e6 * step.expected:9.1f} {shown:>9} {step.flops:13,} {step.nbytes:13,} "
            f"{step.units:7,}  {step.kernel}: {step.op} ({step.line})"
        )
    if len(steps) > STEPS_SHOWN:
        lines.append(f"  ... and {len(steps) - STEPS_SHOWN:,} more; exe.profile(...) times all of them")
    return "\n".join(lines)
