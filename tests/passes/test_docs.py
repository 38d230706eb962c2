"""docs/passes.md lists the rules as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_rules_is_up_to_date() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "rule_table.py"), "--check"], env=environment, check=False
    )
    assert done.returncode == 0, "run python tools/rule_table.py"
