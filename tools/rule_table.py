"""Write docs/passes.md: the passes in their order and every rule, from the docstrings.

python tools/rule_table.py          # write the page
python tools/rule_table.py --check  # exit 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from graphad.passes import PASSES, PIPELINE
from graphad.passes.rules import Rule

PAGE = Path(__file__).resolve().parent.parent / "docs" / "passes.md"

HEAD = """# Passes and rules

`tools/rule_table.py` writes this page from the docstrings.

`ga.optimize(graph)` runs the passes below in this order:
{order}.
`best.report` says what each did; `verify=True` checks the graph and its values after each. `dce` is no part of the
order: a graph is what its outputs reach, so every pass drops dead nodes.

What the passes promise, without `fast_math`: `fold`, `cse`, `algebra` and `fuse` keep every bit of the results (the
sign of a nan aside). `stabilize` changes results where the original loses digits, overflows or is undefined.
`contract` sums in another order, so last digits may differ.

Rules of your own: `@ga.rule(pattern)`, run by `ga.optimize(graph, passes=(my_rule, *PIPELINE))`, or added to a pass
with `@ga.rule(pattern, into="algebra")`. Passes of your own: any function from graph to graph, in `passes=` as it is
or by name after `ga.register_pass(function)`.
"""


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD.format(order=", ".join(f"`{each.name}`" for each in PIPELINE))]
    for name, each in PASSES.items():
        parts.append(f"\n## {name}\n\n{getattr(each, 'text', '')}\n")
        rules: tuple[Rule, ...] = getattr(each, "rules", ())
        for fast, title in ((False, ""), (True, "Under `fast_math=True` only:")):
            rows = [f"| `{r.name}` | {_cell(r.text)} |" for r in rules if r.fast_math is fast]
            if rows:
                head = [title, ""] if title else []
                parts.append("\n" + "\n".join([*head, "| rule | what it does |", "|---|---|", *rows]) + "\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> int:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
