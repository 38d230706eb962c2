"""Every function of the Python array API standard 2024.12 gives what `array_api_strict` gives.

What does not is listed in `deviations.py`, and must not pass.
"""

from __future__ import annotations

import pytest
from calling import compare, expected_of, found_of
from cases import CASES, DOMAINS, has_domain
from deviations import DEVIATIONS
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

COMBINATIONS = [(name, domain) for name in sorted(CASES) for domain in DOMAINS if has_domain(name, domain)]
REFUSALS = (TypeError, ValueError, IndexError, OverflowError)


def conforms(name: str, domain: str, *, shrink: bool = True) -> None:
    """Check a function on calls of a domain of dtypes; without `shrink`, the first failure is raised as it is."""

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        call = data.draw(CASES[name](name, domain))
        try:
            expected = expected_of(name, call)
        except REFUSALS:
            assume(False)
        compare(name, call, found_of(name, call), expected)

    check()


@pytest.mark.parametrize(("name", "domain"), COMBINATIONS)
def test_function(name: str, domain: str) -> None:
    if (name, domain) in DEVIATIONS:
        with pytest.raises(Exception):  # noqa: B017  # in whichever way it deviates
            conforms(name, domain, shrink=False)
    else:
        conforms(name, domain)
