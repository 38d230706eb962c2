"""The command line: look at, optimise, run, plan, measure and compare saved graphs.

    graphad show FILE          print the IR, or draw it
    graphad optimize FILE      write the optimised graph and print what each pass did
    graphad run FILE           evaluate it on arrays from .npy / .npz files, or on random ones
    graphad plan FILE          where every buffer lies, and when; within a budget of memory; pictures of it
    graphad stats FILE         ops, FLOPs, bytes, parameters, peak memory
    graphad diff FILE FILE     compare two graphs node by node

FILE is what `ga.save` wrote, or the printed form of a graph. Exit codes: 0 done; 1 the graphs differ; 2 the command
or a file is wrong (one line on standard error says how).
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import graphad as ga
from graphad.execute.report import report
from graphad.ir.containers import flatten, unflatten
from graphad.ir.errors import ExecutionError, FileError, GraphadError, MissingExtraError
from graphad.ir.types import is_complex, is_inexact
from graphad.plan.amounts import amount_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from graphad.ir.counts import Counts
    from graphad.ir.graph import Graph

SHOWN_CONSTANT = 16
"""Elements of a constant that `show` prints in full."""

VIEWS = ("arena", "live", "peak", "savings", "curve")
"""Pictures of a plan: addresses over time, live bytes by class, the largest tensors, what each stage saves, budgets."""

REPORTED = ("pass", "ops", "FLOPs", "bytes moved", "peak bytes", "ms", "rules")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return 0
    except (GraphadError, OSError) as error:
        print(f"graphad {options.command}: {_one_line(error)}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, GraphadError):
        return f"{error.filename or 'file'}: {error.strerror or error}"
    return " ".join(str(error).split())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong, and where to look."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = _Parser(prog="graphad", description="Look at, optimise, run and compare graphs.")
    top.add_argument("--version", action="version", version=f"graphad {ga.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = _command(commands, "show", "print the IR of a graph, or draw it", show_graph)
    show.add_argument("--svg", type=Path, metavar="PATH", help="draw the graph into an SVG file instead")
    show.add_argument("--dot", action="store_true", help="print DOT text instead")
    show.add_argument("--full", action="store_true", help="print large constants too, so that the text reads back")

    optimize = _command(commands, "optimize", "write the optimised graph, print a table of passes", optimize_graph)
    optimize.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help="default: FILE with .optimized before its end"
    )
    optimize.add_argument("--fast-math", action="store_true", help="allow rewrites that change IEEE results")
    optimize.add_argument("--verify", action="store_true", help="check every pass: the IR, and values on random inputs")

    optimize.add_argument("--history", action="store_true", help="print every rewrite too")

    run = _command(commands, "run", "evaluate a graph", run_graph)
    run.add_argument("inputs", nargs="*", metavar="NAME=ARRAY", help="a .npy file, an .npz file's member, or a number")
    run.add_argument("--random", type=int, metavar="SEED", help="draw the inputs that are not given")
    run.add_argument("-o", "--output", type=Path, metavar="PATH", help="write the results to an .npz file")

    plan = _command(commands, "plan", "print the memory plan", plan_graph)
    plan.add_argument("--memory", metavar="AMOUNT", help="plan within this budget: bytes, or text like 140MB")
    plan.add_argument("--svg", type=Path, metavar="PATH", help="draw a picture of the plan into an SVG file")
    plan.add_argument("--view", choices=VIEWS, help="which picture --svg draws: arena (the default), live, ...")
    plan.add_argument("--pictures", type=Path, metavar="DIRECTORY", help="draw all pictures, one file each")
    plan.add_argument("--json", type=Path, metavar="PATH", help="write all that the pictures show as JSON")

    stats = _command(commands, "stats", "count ops, FLOPs, bytes, parameters, peak memory", graph_stats)
    stats.add_argument("--json", action="store_true", help="print JSON instead of a table")

    diff = commands.add_parser("diff", help="compare two graphs node by node", description="Compare two graphs.")
    diff.add_argument("first", type=Path)
    diff.add_argument("second", type=Path)
    diff.set_defaults(run=diff_graphs)
    return top


def _command(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    command.add_argument("file", type=Path, metavar="FILE", help="a saved graph, or the printed form of one")
    command.add_argument(
        "--bind", action="append", default=[], metavar="NAME=SIZE", help="give a symbolic size its number"
    )
    command.set_defaults(run=run)
    return command


# Reading.


def read_graph(path: Path) -> Graph:
    """Read a saved graph, or the printed form of one (which begins with the word `graph`)."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.lstrip().startswith(b"graph "):
        try:
            return ga.parse(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise FileError(f"{path} is not text: {error}") from None
    return ga.load(path)


def _graph(options: argparse.Namespace) -> Graph:
    graph = read_graph(options.file)
    sizes = dict(_assignment(text, "--bind NAME=SIZE") for text in options.bind)
    try:
        numbers = {name: int(size) for name, size in sizes.items()}
    except ValueError as error:
        raise ExecutionError(f"--bind takes whole numbers: {error}") from None
    return graph.bind(**numbers) if numbers else graph


def _static(graph: Graph, command: str) -> Graph:
    if graph.static:
        return graph
    needed = " ".join(f"--bind {name}=SIZE" for name in sorted(graph.size_names))
    raise ExecutionError(f"{command} needs a number for every size: add {needed}")


def _assignment(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ExecutionError(f"{text!r} does not have the form {form}")
    return name, value


def read_array(text: str) -> np.ndarray[Any, Any]:
    """Read an array: ``x.npy``, ``data.npz:name``, or a number."""
    path, _, member = text.partition(":") if ".npz:" in text else (text, "", "")
    if path.endswith((".npy", ".npz")):
        try:
            found = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise FileError(f"{path}: {error}") from None
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = list(found.files)
            if member not in names:
                raise FileError(f"{path} has the arrays {', '.join(names)}: write {path}:NAME with one of them")
            return np.asarray(found[member])
    try:
        return np.asarray(json.loads(text))
    except ValueError:
        raise FileError(f"{text!r} is neither a .npy file, an .npz:NAME, nor a number or list of numbers") from None


# Commands.


def show_graph(options: argparse.Namespace) -> int:
    """Print or draw."""
    graph = _graph(options)
    if options.svg is not None:
        graph.to_svg(options.svg)
        print(options.svg)
    elif options.dot:
        print(graph.to_dot())
    else:
        print(ga.print_graph(graph, constant_limit=None if options.full else SHOWN_CONSTANT))
    return 0


def optimize_graph(options: argparse.Namespace) -> int:
    """Optimise, write, report."""
    best = ga.optimize(_graph(options), fast_math=options.fast_math, verify=options.verify)
    path: Path = options.output or options.file.with_suffix(f".optimized{options.file.suffix}")
    if path.suffix == ".txt":
        path.write_text(str(best), encoding="utf-8")
    else:
        ga.save(best, path)
    assert best.report is not None, "optimize reports"
    table = _table(f"{options.file.name}: before and after each pass", REPORTED)
    first = best.report.passes[0]
    table.add_row("(before)", *_counts(first.before), "", "")
    for each in best.report.passes:
        fired = ", ".join(f"{rule} {times}" for rule, times in each.rules.items())
        table.add_row(each.name, *_counts(each.after), f"{each.seconds * 1e3:.1f}", fired or "-")
    _console().print(table)
    if options.history:
        for rewrite in best.report.rewrites:
            print(rewrite)
    print(f"written to {path}")
    return 0


def _counts(counts: Counts) -> tuple[str, ...]:
    numbers = (counts.ops, counts.flops, counts.bytes_moved, counts.peak_bytes)
    return tuple("symbolic" if n is None else f"{n:,}" if isinstance(n, int) else str(n) for n in numbers)


def run_graph(options: argparse.Namespace) -> int:
    """Evaluate on given or random arrays."""
    graph = _graph(options)
    if options.random is not None:
        graph = _static(graph, "--random")
    given = {name: read_array(text) for name, text in (_assignment(t, "NAME=ARRAY") for t in options.inputs)}
    unknown = sorted(set(given) - set(graph.input_names))
    if unknown:
        raise ExecutionError(f"the graph has no input {unknown[0]!r}; it has {', '.join(graph.input_names)}")
    arrays = []
    rng = np.random.default_rng(options.random)
    for name, type_ in zip(graph.input_names, graph.input_types, strict=True):
        if name in given:
            arrays.append(given[name])
        elif name in graph.initial:
            arrays.append(graph.initial[name])
        elif options.random is not None:
            arrays.append(_random(type_, rng))
        else:
            raise ExecutionError(f"input {name}: {type_} is missing; give {name}=FILE.npy, or --random SEED")
    # Without initial values every input is an argument.
    executable = ga.compile(dataclasses.replace(graph, initial={}))
    result = executable(*unflatten(graph.input_container, arrays))
    results: list[Any] = flatten(result, lambda leaf: isinstance(leaf, np.ndarray))[0]
    if options.output is not None:
        named: dict[str, Any] = dict(zip(graph.output_names, results, strict=True))
        np.savez(options.output, **named)
        print(f"written to {options.output}")
    else:
        for name, result in zip(graph.output_names, results, strict=True):
            print(f"{name}: {np.array2string(result, threshold=100, floatmode='unique')}")
    return 0


def _random(type_: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    drawn = rng.normal(size=type_.shape) if is_inexact(type_.dtype) else rng.integers(0, 2, size=type_.shape)
    if is_complex(type_.dtype):
        drawn = drawn + 1j * rng.normal(size=type_.shape)
    return np.asarray(drawn).astype(type_.dtype)


def plan_graph(options: argparse.Namespace) -> int:
    """Plan, draw, write, print."""
    graph = _static(_graph(options), "plan")
    budget = _budget(options)
    if options.view is not None and options.svg is None:
        raise ExecutionError("--view chooses the picture that --svg PATH draws: give both, or --pictures DIRECTORY")
    unlimited = ga.compile(graph)
    executable = unlimited if budget is None else ga.compile(graph, memory=budget)
    planned, savings = executable.plan, executable.plan.savings(unlimited.plan, budget)
    drawn = {"arena": planned.to_svg, "live": planned.live_svg, "peak": planned.peak_svg, "savings": savings.to_svg}
    document = {**planned.to_json(), "executor": executable.executor, "budget_bytes": budget}
    document["savings"] = savings.to_json()
    if options.pictures is not None:
        options.pictures.mkdir(exist_ok=True)
    if options.view == "curve" or options.pictures is not None:
        curve = ga.remat_curve(graph)
        drawn["curve"] = curve.to_svg
        document["curve"] = curve.to_json()
    files: dict[Path, str] = {}
    if options.svg is not None:
        files[options.svg] = drawn[options.view or "arena"]()
    if options.pictures is not None:
        files.update({options.pictures / f"{view}.svg": drawn[view]() for view in VIEWS})
    if options.json is not None:
        files[options.json] = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_all(files)
    print(report(planned, executable.executor, budget))
    print("  what planning saves:")
    print("\n".join(f"    {line}" for line in str(savings).splitlines()))
    for path in files:
        print(f"written to {path}")
    return 0


def _budget(options: argparse.Namespace) -> int | None:
    try:
        return None if options.memory is None else amount_bytes(options.memory)
    except ValueError as error:
        raise ExecutionError(f"--memory: {error}") from None


def write_all(files: Mapping[Path, str]) -> None:
    """Write texts to files: all of them, or none. Each is written beside its place first, then all are moved there.

    Raises OSError with the name of the file that cannot be written.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, text in files.items():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            if path.exists() and not path.is_file():
                continue
            try:
                parts[path].write_text(text, encoding="utf-8")
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path, text in files.items():
            if parts[path].exists():
                parts[path].replace(path)
            else:  # a pipe or a device
                path.write_text(text, encoding="utf-8")
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def graph_stats(options: argparse.Namespace) -> int:
    """Print a table of counts."""
    counted = _graph(options).stats().to_json()
    if options.json:
        print(json.dumps(counted, indent=1))
        return 0
    table = _table(counted.pop("name"), ("", "count"))
    for name, value in counted.items():
        for key, number in value.items() if isinstance(value, dict) else ((None, value),):
            shown = "symbolic" if number is None else f"{number:,}" if isinstance(number, int) else number
            table.add_row(name.replace("_", " ") + (f" {key}" if key else ""), shown)
    _console().print(table)
    return 0


def diff_graphs(options: argparse.Namespace) -> int:
    """Compare; 1 where the graphs differ."""
    difference = ga.diff(read_graph(options.first), read_graph(options.second))
    print(difference)
    return 0 if difference.equal else 1


def _console() -> Console:
    try:
        from rich.console import Console
    except ImportError:
        raise MissingExtraError("tables need the package rich: pip install 'graphad[cli]'") from None
    return Console()


def _table(title: str, columns: Sequence[str]) -> Any:
    _console()
    from rich.table import Table

    table = Table(title=title, show_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "pass", "rules") else "right")
    return table


if __name__ == "__main__":
    sys.exit(main())
