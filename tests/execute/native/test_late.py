"""Lowerings that are loaded when an op first needs them: all that their rooms have, by the names of the ops."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("llvmlite")

from graphad.execute.native import lowering
from graphad.execute.native.late import ROOMS


def test_every_lowering_of_a_room_is_found_by_the_name_of_its_op() -> None:
    rooms = {f"graphad.execute.native.{room}" for room in ROOMS.values()}
    for room in rooms:
        importlib.import_module(room)
    entered = [(cls.name, function.__module__) for cls, function in lowering._TABLE.items()]
    found = {name: module for name, module in entered if module in rooms}
    assert found == {name: f"graphad.execute.native.{room}" for name, room in ROOMS.items()}
