"""The cycle collector around a pause."""

from __future__ import annotations

import gc

import pytest

from graphad.ir import collector
from graphad.ir.collector import collector_paused


def is_among(item: object, generation: int) -> bool:
    return any(each is item for each in gc.get_objects(generation))


def test_many_objects_made_in_a_pause_count_as_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MANY", 100)
    with collector_paused():
        assert not gc.isenabled()
        made = [[k] for k in range(200)]
    assert gc.isenabled() and is_among(made[7], 2) and gc.get_freeze_count() == 0


def test_few_objects_stay_young() -> None:
    gc.collect()
    with collector_paused():
        made = [[k] for k in range(10)]
    assert not is_among(made[7], 2)


def test_what_a_user_has_frozen_stays_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MANY", 100)
    gc.freeze()
    try:
        with collector_paused():
            made = [[k] for k in range(200)]
        assert gc.get_freeze_count() > 0 and made
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
