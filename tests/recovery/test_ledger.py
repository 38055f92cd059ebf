"""The service is killed amid writes: what it acknowledged is there, and no half of anything.

A few kills; `python -m tests.recovery.ledger --kills 1000` makes many.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.recovery.ledger.campaign import Campaign, Phase

KILLS = 3


@pytest.mark.timeout(600)
@pytest.mark.long  # kills amid writes and each operation on files have quicker tests
def test_every_acknowledged_write_survives_kills_in_every_phase(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    phases = random.Random(seed).sample(list(Phase) * KILLS, KILLS * len(Phase))
    try:
        counts = Campaign(tmp_path, seed).run(phases)
        assert counts["writes acknowledged"] > 50, counts
        assert counts["items compared"] > 1000, counts
        assert counts["writes repeated"], counts
    except BaseException as error:
        error.add_note(f"python -m tests.recovery.ledger --seed {seed}: {phases}")
        raise
