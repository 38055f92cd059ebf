"""`lookalike ingest`: a catalogue's photos, or one photo, through the gateway."""

from __future__ import annotations

import hashlib
import json as jsonlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.catalogue.photo_files import STDIN, PhotoFolder, read_photo
from lookalike.catalogue.tables import Catalogue, ProductRow, read_catalogue
from lookalike.cli import options
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    UsageError,
    counted,
    emit,
    per_cent,
    progress_bar,
    say,
)
from lookalike.cli.failing import Failure, Failures, by_reason, write_failures
from lookalike.journal import Journal
from lookalike.limits import MAX_TEXT_LENGTH
from lookalike.prices import Price, parse_price

if TYPE_CHECKING:
    from lookalike.client import CataloguePhoto, Client, Ingested, Status

_RESTART = "--restart sends every photo again"

_MANY = "A catalogue"
_ONE = "One photo"


def command(
    *,
    photo: Annotated[
        Path | None, typer.Argument(metavar="PHOTO", help="One photo, or - for standard input.")
    ] = None,
    products: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Products.csv: the listings.", rich_help_panel=_MANY),
    ] = None,
    images_table: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Images.csv: which photo is of which listing.  \\[default: beside --products]",
            show_default=False,
            rich_help_panel=_MANY,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The photos, named <photo id>.jpg or with another suffix.",
            rich_help_panel=_MANY,
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to remember what is done; failures are listed beside it.  "
            "\\[default: Products.ingest.jsonl]",
            show_default=False,
            rich_help_panel=_MANY,
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Forget the journal; send every photo.", rich_help_panel=_MANY
        ),
    ] = False,
    listing: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The listing that it is of.", rich_help_panel=_ONE),
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The photo's id.  \\[default: the file's name without its suffix]",
            show_default=False,
            rich_help_panel=_ONE,
        ),
    ] = None,
    title: Annotated[str, typer.Option(rich_help_panel=_ONE)] = "",
    description: Annotated[str, typer.Option(rich_help_panel=_ONE)] = "",
    category: Annotated[str, typer.Option(rich_help_panel=_ONE)] = "",
    price: Annotated[
        str | None,
        typer.Option(metavar="PRICE", help="Like £1,250.00 or 9.50 EUR.", rich_help_panel=_ONE),
    ] = None,
    location: Annotated[str, typer.Option(rich_help_panel=_ONE)] = "",
    json: options.Json = False,
    gateway: options.Gateway = options.DEFAULT_GATEWAY,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    cert: options.Cert = None,
    token: options.Token = None,
) -> int:
    """Add listings' photos to the catalogue.

    Either --products Products.csv --images DIR, or --listing ID PHOTO. A photo of an id that is
    there replaces it, so sending one twice does no harm. An interrupted run goes on when it is
    started again, and one with failures tries those again; they are listed in
    Products.failures.csv.
    """
    if (products is None) == (photo is None):
        raise UsageError("give --products and --images, or --listing and a PHOTO")
    from lookalike.client import CataloguePhoto

    client = options.open_client(
        gateway=gateway, timeout=timeout, tls=options.encryption(tls, ca, cert), token=token
    )
    if photo is not None:
        if not listing:
            raise UsageError("--listing is missing: the id of the listing that the photo is of")
        if photo == STDIN and not item:
            raise UsageError("--item is missing: a photo from standard input has no name")
        amount, currency = _price(price)
        about = CataloguePhoto(
            item_id=item or photo.stem,
            product_id=listing,
            category=category,
            title=title,
            price=amount,
            location=location,
            currency=currency,
            description=description,
        )
        with client:
            return _ingest_one(client, about, photo, json=json)
    if images is None or products is None:
        raise UsageError("--images is missing: the folder of the photos")
    if listing or item:
        raise UsageError("--listing and --item are for one photo, not for --products")
    beside = products.with_name("Images.csv")
    table = images_table or (beside if beside.exists() else None)
    catalogue = read_catalogue(products, table)
    _tell(catalogue, products, table)
    journal = journal or products.with_suffix(".ingest.jsonl")
    listed = journal.with_name(f"{products.stem}.failures.csv")
    run = _Run(client, PhotoFolder(images), journal, listed)
    with client:
        return run.ingest(catalogue, gateway, restart=restart, json=json)


@dataclass(frozen=True)
class _Send:
    """A photo to send: what it shows, where it is, and what tells it from what was sent before."""

    photo: CataloguePhoto
    path: Path
    content: str


@dataclass(frozen=True)
class _Run:
    """One ingest of a catalogue."""

    client: Client
    folder: PhotoFolder
    journal: Path
    listed: Path

    def ingest(self, catalogue: Catalogue, gateway: str, *, restart: bool, json: bool) -> ExitCode:
        """Sends what was not acknowledged before; returns the exit code."""
        status = self.client.status()
        _check(status)
        into = {
            "gateway": gateway,
            "collection": status.index.collection,
            "embedding_space": status.embedder.embedding_space,
        }
        failures = Failures()
        counts = {"new": 0, "replaced": 0, "near_duplicates": 0}
        with Journal(
            self.journal,
            "lookalike ingest",
            into,
            restart=restart,
            changed=_RESTART,
            unwritable="--journal says where else to keep it",
        ) as journal:
            newest = max((entry["seq"] for entry in journal.entries()), default=0)
            if newest > status.index.applied_seq:
                raise CommandError(
                    f"{self.journal}: it tells of write {newest:,}, but the index is at "
                    f"{status.index.applied_seq:,}: it is another one, or an older copy; {_RESTART}"
                )
            todo = list(self._todo(catalogue.photos, journal, failures.items))
            total = len(catalogue.photos)
            missing = len(failures.items)
            done = total - len(todo) - missing
            if done:
                say(f"{counted(done, 'photo')} of {total:,} ingested before")
            try:
                with progress_bar("Ingesting", total=total, done=done + missing) as bar:
                    for send, outcome in self._sent(todo):
                        bar.advance()
                        if isinstance(outcome, Exception):
                            failures.add(send.photo.item_id, outcome)
                            continue
                        failures.succeeded()
                        counts["replaced" if outcome.replaced else "new"] += 1
                        counts["near_duplicates"] += bool(outcome.near_duplicates)
                        journal.add(send.photo.item_id, send.content, seq=outcome.seq)
            except KeyboardInterrupt:
                again = "the same command without --restart" if restart else "the same command"
                kept = f"{counted(len(journal), 'photo')} are in, {again} goes on from there"
                raise CommandError(f"interrupted; {kept}", ExitCode.INTERRUPTED) from None
            finally:
                write_failures(self.listed, failures.items)
            if not failures.items:
                journal.remove()
        if json:
            emit(self._summary(catalogue, counts, done, failures.items))
        return self._conclude(counts, done, failures.items)

    def _todo(
        self, photos: Mapping[str, ProductRow], journal: Journal, missing: list[Failure]
    ) -> Iterator[_Send]:
        for item_id, row in photos.items():
            path = self.folder.find(item_id)
            if path is None:
                missing.append(Failure(item_id, "NO_FILE", f"{item_id}.jpg: no such file"))
                continue
            photo = photo_of(item_id, row)
            content = _content(photo, path)
            if not journal.has(item_id, content):
                yield _Send(photo, path, content)

    def _sent(self, todo: Sequence[_Send]) -> Iterator[tuple[_Send, Ingested | Exception]]:
        sends = {send.photo.item_id: send for send in todo}
        pairs = ((send.photo, send.path) for send in todo)
        for item_id, outcome in self.client.ingest_many(pairs):
            yield sends[item_id], outcome

    def _summary(
        self, catalogue: Catalogue, counts: dict[str, int], done: int, failed: Sequence[Failure]
    ) -> dict[str, object]:
        return {
            "photos": len(catalogue.photos),
            "listings": len(catalogue.products.rows),
            "dropped_listings": catalogue.products.dropped,
            "photos_without_listing": catalogue.orphans,
            **counts,
            "skipped": done,
            "failed": len(failed),
            "reasons": by_reason(failed),
            "failures": str(self.listed) if failed else None,
        }

    def _conclude(self, counts: dict[str, int], done: int, failed: Sequence[Failure]) -> ExitCode:
        written = counts["new"] + counts["replaced"]
        say(
            f"{counted(written, 'photo')} ingested: {counts['new']:,} new, {counts['replaced']:,} "
            f"replaced"
            + (
                f"; {counts['near_duplicates']:,} look like another listing's"
                if counts["near_duplicates"]
                else ""
            )
        )
        if not failed:
            return ExitCode.OK
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason(failed).items())
        say(f"{counted(len(failed), 'photo')} failed, listed in {self.listed}: {reasons}")
        return ExitCode.SOME_FAILED if written or done else ExitCode.FAILED


def _ingest_one(client: Client, photo: CataloguePhoto, path: Path, *, json: bool) -> ExitCode:
    answer = client.ingest(photo, read_photo(path))
    best = answer.classification.scores[0]
    if json:
        emit(
            {
                "item_id": photo.item_id,
                "product_id": photo.product_id,
                "replaced": answer.replaced,
                "seq": answer.seq,
                "category": best.category,
                "probability": best.probability,
                "near_duplicates": [
                    {
                        "item_id": d.item_id,
                        "product_id": d.product_id,
                        "kind": d.kind,
                        "distance": d.distance,
                        "linked": d.linked,
                    }
                    for d in answer.near_duplicates
                ],
                "degraded": answer.degraded,
            }
        )
        return ExitCode.OK
    verb = "replaced" if answer.replaced else "added"
    say(f"photo {photo.item_id} {verb}: {best.category}, {per_cent(best.probability)}")
    for other in answer.near_duplicates:
        say(
            f"it looks like photo {other.item_id} of listing {other.product_id}: {other.kind}, "
            f"distance {other.distance:.3f}"
        )
    if answer.degraded:
        say(answer.degraded)
    return ExitCode.OK


def _check(status: Status) -> None:
    """Raises CommandError for what would fail every photo."""
    for name, upstream in (("embedder", status.embedder), ("index", status.index)):
        if not upstream.ready:
            raise CommandError(f"the gateway's {name} at {upstream.target} is not ready")
    if status.mismatch:
        raise CommandError(status.mismatch)


def _tell(catalogue: Catalogue, products: Path, table: Path | None) -> None:
    rows = catalogue.products.rows
    if dropped := catalogue.products.dropped:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.items())
        number = counted(sum(dropped.values()), "listing")
        say(f"{number} of {products} dropped: {reasons}")
    if long := sum(len(row.description) > MAX_TEXT_LENGTH for row in rows.values()):
        say(
            f"{counted(long, 'description')} of {products} cut at {MAX_TEXT_LENGTH:,} characters, "
            "the most that the catalogue keeps"
        )
    if catalogue.orphans:
        say(f"{counted(catalogue.orphans, 'photo')} of {table} left out: the listing is not there")
    if table is None:
        say("no Images.csv: each listing's photo is the one named by the listing's id")
    if not catalogue.photos:
        raise CommandError(f"{products}: no photo of a complete listing")


def photo_of(item_id: str, row: ProductRow) -> CataloguePhoto:
    """Returns a photo of a listing as it is ingested."""
    from lookalike.client import CataloguePhoto

    return CataloguePhoto(
        item_id=item_id,
        product_id=row.product_id,
        category=row.root,
        title=row.title,
        price=row.price,
        location=row.location,
        currency=row.currency,
        description=row.description[:MAX_TEXT_LENGTH],
    )


def _content(photo: CataloguePhoto, path: Path) -> str:
    """Returns what changes when the listing's row or the photo's file does."""
    facts = path.stat()
    text = jsonlib.dumps([asdict(photo), facts.st_size, facts.st_mtime_ns])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _price(text: str | None) -> Price | tuple[None, str]:
    if text is None:
        return None, ""
    price = parse_price(text)
    if price is None:
        raise UsageError(f"--price is '{text}'; it must be like £1,250.00, 9.50 EUR or 5")
    return price
