"""Asks the gateway about one photo and shows the answer."""

from __future__ import annotations

from pathlib import Path

from lookalike import Client
from lookalike.catalogue.sheets import Card, draw_contact_sheet
from lookalike.cli import findings
from lookalike.cli.console import per_cent
from lookalike.client import SearchResult
from lookalike.errors import LookalikeError, StartupError


def ask(gateway: str, photo: Path, k: int = 5) -> SearchResult:
    """Returns a photo's category, the `k` most similar listings, and a price estimate."""
    with Client(gateway) as client:
        try:
            return client.similar(photo, k=k, include_price=True)
        except LookalikeError as error:
            raise StartupError(f"the gateway: {error.message}") from None


def ask_words(gateway: str, words: str, k: int = 5) -> SearchResult:
    """Returns the category of words, and the `k` listings that they describe best."""
    with Client(gateway) as client:
        try:
            return client.similar(text=words, k=k)
        except LookalikeError as error:
            raise StartupError(f"the gateway: {error.message}") from None


def show(answer: SearchResult, asked: Path | str) -> None:
    """Prints the answer as `lookalike similar` does."""
    print(f"\n{asked}" if isinstance(asked, Path) else f'\n"{asked}"', flush=True)
    findings.show(answer, priced=isinstance(asked, Path))


def draw(answer: SearchResult, asked: Path | str, images: Path, out: Path) -> None:
    """Writes the answer as a contact sheet; photos of the catalogue are in `images`."""
    assert answer.classification is not None  # photos and words have one
    best = answer.classification.scores[0]
    photos, words = ([asked], "") if isinstance(asked, Path) else ([], asked)
    draw_contact_sheet(
        Card(photos, best.category, [f"{per_cent(best.probability)} confidence"], words=words),
        [
            findings.card(hit, images / f"{hit.photo.item_id}.jpg", best.category, answer.ranking)
            for hit in answer.hits
        ],
        out,
        note="Nearest listings first; green: of the category found",
    )
