"""What fuzzing once found stays mended; and some hundred inputs more, the same with each change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.examples import examples
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS

FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
FEW = {"photo": 400, "proto": 400, "http": 20, "table": 200}


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_was_found_stays_mended(file: Path) -> None:
    TARGETS[file.parent.name].run(file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_sound_input_is_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_and_nothing_else(name: str) -> None:
    dice = random.Random(7)
    for _ in range(examples(FEW[name])):
        TARGETS[name].run(mutated(TARGETS[name].seeds, dice))
