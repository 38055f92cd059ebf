"""The paths of the demo's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoFiles:
    """Paths below one directory."""

    root: Path = Path("var/demo")

    @property
    def marketplace(self) -> Path:
        """The sample marketplace, in the raw format."""
        return self.root / "marketplace"

    @property
    def prepared(self) -> Path:
        """The clean data set."""
        return self.root / "prepared"

    @property
    def run(self) -> Path:
        """The training run."""
        return self.root / "run"

    @property
    def text_run(self) -> Path:
        """The training run of the text tower."""
        return self.root / "text"

    @property
    def bundle(self) -> Path:
        """The model bundle."""
        return self.root / "bundle"

    @property
    def index(self) -> Path:
        """The index service's store."""
        return self.root / "index"

    @property
    def thumbnails(self) -> Path:
        """The gateway's thumbnails."""
        return self.root / "thumbnails"

    @property
    def logs(self) -> Path:
        """The folder of the services' log files."""
        return self.root / "logs"

    @property
    def ingest_journal(self) -> Path:
        """The journal of `lookalike ingest`; refused photos are listed beside it."""
        return self.root / "ingest.jsonl"

    @property
    def filled(self) -> Path:
        """Records what the index was filled with."""
        return self.root / "filled.json"

    @property
    def processes(self) -> Path:
        """The process ids of services left running."""
        return self.root / "processes.json"

    @property
    def result(self) -> Path:
        """The contact sheet of a photo."""
        return self.root / "result.png"

    @property
    def words_result(self) -> Path:
        """The contact sheet of words."""
        return self.root / "words.png"
