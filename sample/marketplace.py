"""Writes a sample marketplace in the raw export's format, with drawn photos and made-up listings.

Demo and tests need no download with it. `sample.drawings` draws the objects, `sample.text` writes
the texts.

    DIR/Products.csv         one listing per record
    DIR/Images.csv           one photo per record, with its listing
    DIR/images/<id>.jpg      the photos, a few of them odd or broken
    DIR/queries/<slug>.jpg   photos of objects that no listing shows
    DIR/queries/queries.json the category of each of these
    DIR/sample.json          the parameters, so that a second run can reuse the first one's files
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

from lookalike.catalogue.categories import CATEGORIES
from sample.drawings import Kind, draw_photo, kinds_of, make_look
from sample.oddities import ODD_FILES, encode_jpeg
from sample.text import ListingText, write_text

GENERATOR: Final = 2  # raise it when the same seed gives other files
FEWEST_LISTINGS: Final = 39  # three per category: with fewer, flaws could leave a category empty
MISSING: Final = "missing"
NO_VALUE: Final = ("", "NaN", "N/A")
CAN_BE_MISSING: Final = ("price", "product_description", "category", "location")
SIZES: Final = ((320, 240),) * 3 + ((240, 320),) * 2 + ((300, 300), (360, 270), (320, 213))

Progress = Callable[[int, int], None]


class SampleError(Exception):
    """The requested sample cannot be written; the message says why."""


class SampleExistsError(SampleError):
    """The directory holds something other than the requested sample; nothing was changed."""


@dataclass(frozen=True)
class SampleSummary:
    """Counts of a sample's contents."""

    listings: int  # rows of Products.csv
    photos: int  # rows of Images.csv
    files: int  # files in images/, odd and broken ones included
    queries: int  # photos in queries/
    without_photo: int  # listings that Images.csv does not name
    incomplete: int  # listings that lack a field
    oddities: dict[str, int]  # photos of each odd kind, by name
    reused: bool = False  # whether the files already existed


@dataclass(frozen=True)
class _Listing:
    """A planned listing: its object, its photos and its flaws."""

    number: int
    key: str  # seed of ids and text
    thing: str  # seed of the object and its photos; a repost shares it with the first post
    kind: Kind
    photos: int
    repost: bool = False
    oddity: str | None = None  # of the second photo, so that one good photo is always left
    gap: tuple[str, str] | None = None  # a missing field, and the marker in its place

    def id_of(self, part: str) -> str:
        return str(UUID(int=Random(f"{self.key}/{part}").getrandbits(128), version=4))

    def view(self, photo: int) -> str:
        # a repost copies the first photo and takes a new second one
        again = "again " if self.repost and photo > 0 else ""
        return f"{self.thing}/{again}photo {photo}"


def write_sample(
    out: Path,
    *,
    listings: int = 260,
    seed: int = 7,
    queries: int = 1,
    progress: Progress | None = None,
) -> SampleSummary:
    """Writes a sample marketplace to `out` and returns its summary.

    The same `listings`, `seed` and `queries` (query photos per category) give the same bytes.
    `out` appears complete or not at all; an identical sample there is kept. `progress` is called
    with (photos done, photos in all).

    Raises SampleError for fewer than FEWEST_LISTINGS listings or a negative `queries`, and its
    subclass SampleExistsError if `out` holds something else.
    """
    if listings < FEWEST_LISTINGS:
        raise SampleError(f"{listings} listings are asked for; the least is {FEWEST_LISTINGS}")
    if queries < 0:
        raise SampleError(f"{queries} queries per category are asked for; the least is 0")
    out = out.resolve()
    asked = {"generator": GENERATOR, "seed": seed, "listings": listings, "queries": queries}
    if (held := _held_sample(out, asked)) is not None:
        return held
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.parent / f".{out.name}.partial-{uuid4().hex[:8]}"
    partial.mkdir()
    try:
        summary = _write(partial, asked, progress or (lambda done, total: None))
        if out.exists():
            out.rmdir()  # empty, or _held_sample would have refused
        partial.rename(out)
    except BaseException:
        # Ctrl-C too must leave nothing half-written
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return summary


def category_slug(category: str) -> str:
    """Returns `Home & Garden` as `home-garden`, the stem of its query photo's file name."""
    return re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-")


def _held_sample(out: Path, asked: dict[str, int]) -> SampleSummary | None:
    """Returns the summary of the requested sample in `out`; None if there is nothing."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise SampleExistsError(f"{out} is a file; name a directory")
    if not any(out.iterdir()):
        return None
    try:
        note: Any = json.loads((out / "sample.json").read_text(encoding="utf-8"))
        differs = [
            f"{name} {note['parameters'][name]} there, {value} asked for"
            for name, value in asked.items()
            if note["parameters"][name] != value
        ]
        summary = SampleSummary(**note["summary"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SampleExistsError(
            f"{out} is not empty and holds no readable sample.json; name another directory"
        ) from error
    if differs:
        raise SampleExistsError(
            f"{out} holds another sample ({'; '.join(differs)}); name another directory"
        )
    return replace(summary, reused=True)


def _plan(count: int, seed: int) -> list[_Listing]:
    """Plans the listings: categories in turn, with a few random flaws."""
    plan: list[_Listing] = []
    number = 0
    for index in range(count):
        key = f"{seed}/{index}"
        # the export's running numbers have gaps where listings were removed
        number += 2 if index % 17 == 9 else 1
        turn = Random(f"{seed}/turn {index // len(CATEGORIES)}").sample(CATEGORIES, len(CATEGORIES))
        kind = _kind_for(turn[index % len(CATEGORIES)], key)
        photos = 1 if Random(f"{key}/photos").random() < 0.2 else 2
        plan.append(_Listing(number - 1, key, key, kind, photos))

    flawed = Random(f"{seed}/flaws").sample(range(count), count)
    each = 1 + count // 400
    for oddity in (*ODD_FILES, MISSING):
        for _ in range(each):
            index = flawed.pop()
            plan[index] = replace(plan[index], oddity=oddity, photos=2)
    for number in range(len(NO_VALUE) * each):
        index = flawed.pop()
        field = CAN_BE_MISSING[number % len(CAN_BE_MISSING)]
        plan[index] = replace(plan[index], gap=(field, NO_VALUE[number % len(NO_VALUE)]))
    for _ in range(1 + count // 130):
        index = flawed.pop()
        plan[index] = replace(plan[index], photos=0)
    for _ in range(each):
        first, index = flawed.pop(), flawed.pop()
        shared = plan[first]
        plan[index] = replace(
            plan[index], thing=shared.thing, kind=shared.kind, photos=2, repost=True
        )
        plan[first] = replace(shared, photos=2)
    return plan


def _kind_for(category: str, key: str) -> Kind:
    # the highest draw wins, so that a new kind takes its share and changes no other listing
    return max(kinds_of(category), key=lambda kind: Random(f"{key}/{kind.name}").random())


def _write(out: Path, asked: dict[str, int], progress: Progress) -> SampleSummary:
    plan = _plan(asked["listings"], asked["seed"])
    photos = sum(listing.photos for listing in plan)
    query_count = asked["queries"] * len(CATEGORIES)
    steps = iter(range(1, photos + query_count + 1))

    def step() -> None:
        progress(next(steps), photos + query_count)

    (out / "images").mkdir()
    products: list[Sequence[str]] = []
    images: list[Sequence[str]] = []
    for listing in plan:
        products.append((str(listing.number), *_product_fields(listing)))
        for photo in range(listing.photos):
            image_id = listing.id_of(f"photo {photo}")
            images.append((str(len(images)), image_id, listing.id_of("listing")))
            content = _photo_bytes(listing, photo)
            if content is not None:
                (out / "images" / f"{image_id}.jpg").write_bytes(content)
            step()
    header = ("", "id", "product_name", "category", "product_description", "price", "location")
    _write_table(out / "Products.csv", [header, *products])
    _write_table(out / "Images.csv", [("", "id", "product_id"), *images])

    (out / "queries").mkdir()
    answers = []
    for file, category, content in _query_photos(asked["queries"], asked["seed"]):
        (out / "queries" / file).write_bytes(content)
        answers.append({"file": file, "category": category})
        step()
    _write_json(out / "queries" / "queries.json", answers)

    oddities = {
        name: sum(listing.oddity == name for listing in plan) for name in (*ODD_FILES, MISSING)
    }
    summary = SampleSummary(
        listings=len(plan),
        photos=photos,
        files=photos - oddities[MISSING],
        queries=query_count,
        without_photo=sum(listing.photos == 0 for listing in plan),
        incomplete=sum(listing.gap is not None for listing in plan),
        oddities={**oddities, "byte_identical_pairs": sum(listing.repost for listing in plan)},
    )
    # last: a directory without it is no sample
    note = asdict(summary)
    del note["reused"]
    _write_json(out / "sample.json", {"parameters": asked, "summary": note})
    return summary


def _product_fields(listing: _Listing) -> Sequence[str]:
    text: ListingText = write_text(
        listing.kind,
        make_look(listing.thing),
        listing.key,
        leaks_category=int(listing.key.rpartition("/")[2]) % 20 == 11,
    )
    if listing.gap is not None:
        field, marker = listing.gap
        text = replace(text, **{field: marker})
    return (listing.id_of("listing"), *asdict(text).values())


def _photo_bytes(listing: _Listing, photo: int) -> bytes | None:
    """Returns the file's content; None for a photo that is listed but missing."""
    oddity = listing.oddity if photo == 1 else None
    if oddity == MISSING:
        return None
    view = listing.view(photo)
    rng = Random(f"{view}/camera")
    size, quality = rng.choice(SIZES), rng.randint(82, 88)
    picture = draw_photo(listing.kind, make_look(listing.thing), view, size)
    return encode_jpeg(picture, quality) if oddity is None else ODD_FILES[oddity](picture)


def _query_photos(per_category: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields file name, category and content of photos of objects that no listing shows."""
    for category in CATEGORIES:
        for index in range(per_category):
            key = f"{seed}/query {index} of {category}"
            suffix = f"-{index + 1}" if index else ""
            picture = draw_photo(_kind_for(category, key), make_look(key), key, SIZES[0])
            yield f"{category_slug(category)}{suffix}.jpg", category, encode_jpeg(picture)


def _quoted(field: str) -> str:
    # The csv module would quote a field with a carriage return. The export does not, which breaks
    # default parsers, so the sample must not either.
    if "," in field or '"' in field or "\n" in field:
        return '"' + field.replace('"', '""') + '"'
    return field


def _write_table(path: Path, records: Iterable[Sequence[str]]) -> None:
    lines = [",".join(_quoted(field) for field in record) + "\n" for record in records]
    # bytes: text mode would translate line ends on some platforms
    path.write_bytes("".join(lines).encode())


def _write_json(path: Path, content: object) -> None:
    path.write_bytes((json.dumps(content, indent=2) + "\n").encode())
