"""Kills the index service many times: `python -m tests.recovery.ledger --kills 1000`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.recovery.ledger.campaign import Campaign, Phase


def main(arguments: list[str]) -> int:
    """Runs a campaign and prints what it counted."""
    parser = argparse.ArgumentParser(prog="python -m tests.recovery.ledger", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how often to kill the service")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance")
    parser.add_argument("--folder", type=Path, help="where to leave the data and the logs")
    options = parser.parse_args(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ledger-"))
    phases = random.Random(options.seed).choices(list(Phase), k=options.kills)

    def progress(counts: Counter[str]) -> None:
        if not (kills := kills_in(counts)) % 50:
            acknowledged = counts["writes acknowledged"]
            sys.stderr.write(f"{kills} kills, {acknowledged:,} writes acknowledged\n")

    campaign = Campaign(folder, options.seed, progress=progress)
    started = time.monotonic()
    try:
        campaign.run(phases)
    except BaseException:
        sys.stderr.write(f"seed {options.seed}; data and logs are in {folder}\n")
        raise
    finally:
        sys.stdout.write(report(campaign.counts, time.monotonic() - started))
    return 0


def kills_in(counts: Counter[str]) -> int:
    """Returns how often the service was killed, but for kills while it started."""
    return sum(counts[f"kills: {phase}"] for phase in Phase)


def report(counts: Counter[str], seconds: float) -> str:
    """Returns the counts as a table."""
    rows = [("kills", kills_in(counts)), *sorted(counts.items()), ("seconds", round(seconds))]
    return "".join(f"{name:<28}{number:>10,}\n" for name, number in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
