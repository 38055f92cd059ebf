"""`lookalike ingest`: one photo, a catalogue, and what a second run does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lookalike.errors import (
    EmbeddingSpaceMismatchError,
    InvalidImageError,
    StorageFullError,
    UpstreamUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.journal import Journal
from tests.command_line import Ended, Run
from tests.unit.lookalike.cli.conftest import DrawPhoto, Gateway

HEADER = ",id,product_name,category,product_description,price,location\n"
LISTINGS = {"lamp": "£1,250.00", "chair": "£5.00", "sofa": "£80.00"}
OWNERS = {"p1": "lamp", "p2": "lamp", "p3": "chair", "p4": "sofa"}


@pytest.fixture
def catalogue(tmp_path: Path, draw_photo: DrawPhoto) -> Path:
    """Three listings with four photos in all."""
    rows = [
        f'{n},{name},"Fine {name} | in Leeds, West Yorkshire | Gumtree",Home & Garden / {name},'
        f'text,"{price}","Leeds, West Yorkshire"\n'
        for n, (name, price) in enumerate(LISTINGS.items())
    ]
    (tmp_path / "Products.csv").write_text(HEADER + "".join(rows))
    owners = [f"{photo},{listing}\n" for photo, listing in OWNERS.items()]
    (tmp_path / "Images.csv").write_text("id,product_id\n" + "".join(owners))
    (tmp_path / "images").mkdir()
    for number, photo in enumerate(OWNERS):
        (tmp_path / "images" / f"{photo}.jpg").write_bytes(draw_photo(number))
    return tmp_path


def ingest(run: Run, catalogue: Path, *options: str) -> Ended:
    products = ["--products", str(catalogue / "Products.csv")]
    return run("ingest", *products, "--images", catalogue / "images", *options)


def listed(catalogue: Path) -> dict[str, str]:
    with (catalogue / "Products.failures.csv").open(newline="") as stream:
        return {row["id"]: row["reason"] for row in csv.DictReader(stream)}


def journal(catalogue: Path) -> Path:
    return catalogue / "Products.ingest.jsonl"


def test_one_photo_with_its_listing(run: Run, gateway: Gateway, photos: Path) -> None:
    options = ["--listing", "lamp", "--title", "Fine lamp", "--price", "£1,250.00"]
    more = ["--category", "Home", "--location", "Leeds", "--description", "Brass."]
    ended = run("ingest", photos / "a.jpg", *options, *more, "--json")
    assert ended.code == 0
    assert ended.json["item_id"] == "a"
    assert gateway.ingested["a"].photo == pb.CataloguePhoto(
        item_id="a",
        product_id="lamp",
        title="Fine lamp",
        category="Home",
        price=1250,
        location="Leeds",
        currency="GBP",
        description="Brass.",
    )
    again = run("ingest", photos / "a.jpg", "--listing", "lamp", "--item", "a")
    assert "photo a replaced: Home & Garden, 70 %" in again.err
    assert not gateway.ingested["a"].photo.HasField("price")


@pytest.mark.parametrize(("text", "currency"), [("9.50 EUR", "EUR"), ("9.50", "")])
def test_a_price_has_the_currency_that_it_names(
    run: Run, gateway: Gateway, photos: Path, text: str, currency: str
) -> None:
    assert run("ingest", photos / "a.jpg", "--listing", "lamp", "--price", text).code == 0
    listing = gateway.ingested["a"].photo
    assert (listing.price, listing.currency) == (9.5, currency)


def test_what_is_no_price_is_refused_with_what_one_is_like(
    run: Run, gateway: Gateway, photos: Path
) -> None:
    ended = run("ingest", photos / "a.jpg", "--listing", "lamp", "--price", "5 ONO")
    assert ended.code == 2
    assert "--price is '5 ONO'; it must be like £1,250.00, 9.50 EUR or 5" in ended.err


def test_a_near_duplicate_is_told(run: Run, gateway: Gateway, photos: Path) -> None:
    answer = pb.IngestListingResponse(seq=1)
    answer.classification.scores.add(category="Home", probability=1)
    answer.near_duplicates.add(
        item_id="x", product_id="y", kind=pb.NEAR_DUPLICATE_KIND_IDENTICAL, distance=0.25
    )
    gateway.answers["IngestListing"] = answer
    ended = run("ingest", photos / "a.jpg", "--listing", "lamp")
    assert "it looks like photo x of listing y: identical, distance 0.250" in ended.err
    assert ended.code == 0


def test_a_catalogue_is_sent_with_what_its_tables_say(
    run: Run, gateway: Gateway, catalogue: Path, draw_photo: DrawPhoto
) -> None:
    ended = ingest(run, catalogue)
    assert (ended.code, ended.out) == (0, "")
    assert "4 photos ingested: 4 new, 0 replaced" in ended.err
    assert gateway.ingested["p1"].photo == pb.CataloguePhoto(
        item_id="p1",
        product_id="lamp",
        category="Home & Garden",
        title="Fine lamp",
        price=1250,
        location="Leeds, West Yorkshire",
        currency="GBP",
        description="text",
    )
    assert gateway.ingested["p4"].image == draw_photo(3)
    assert not journal(catalogue).exists(), "nothing is left to go on with"


def test_a_description_beyond_the_limit_is_cut_and_that_is_said(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    table = catalogue / "Products.csv"
    long = "\N{COUCH AND LAMP}" * 8193
    table.write_text(table.read_text().replace(",text,", f",{long},", 1))
    ended = ingest(run, catalogue)
    assert ended.code == 0
    kept = {name: gateway.ingested[name].photo.description for name in OWNERS}
    assert kept == {"p1": long[:8192], "p2": long[:8192], "p3": "text", "p4": "text"}
    said = f"1 description of {table} cut at 8,192 characters, the most that the catalogue keeps"
    assert said in " ".join(ended.err.split())


def test_a_description_has_line_breaks_and_markup_as_the_table_has_them(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    table = catalogue / "Products.csv"
    table.write_text(table.read_text().replace(",text,", ",<b>Soft</b>\rand \u202eold\a,", 1))
    assert ingest(run, catalogue).code == 0
    assert gateway.ingested["p1"].photo.description == "<b>Soft</b>\nand \u202eold\a"


def test_a_whole_ingest_leaves_nothing_that_would_hide_a_later_change(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    ingest(run, catalogue)
    answer = ingest(run, catalogue, "--json").json
    assert (answer["new"], answer["replaced"], answer["skipped"]) == (0, 4, 0)


def test_without_images_csv_each_listing_has_the_photo_of_its_id(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    (catalogue / "Images.csv").unlink()
    (catalogue / "images" / "p1.jpg").rename(catalogue / "images" / "lamp.jpg")
    ended = ingest(run, catalogue)
    assert ended.code == 3
    assert list(gateway.ingested) == ["lamp"]
    assert listed(catalogue) == {"chair": "NO_FILE", "sofa": "NO_FILE"}


def test_incomplete_listings_are_dropped_and_counted(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    with (catalogue / "Products.csv").open("a") as stream:
        stream.write("3,bed,Bed,N/A,text,£5,Leeds\n4,bin,Bin,Home,text,cheap,Leeds\n")
    with (catalogue / "Images.csv").open("a") as stream:
        stream.write("p5,bed\n")
    ended = ingest(run, catalogue, "--json")
    assert ended.code == 0
    assert ended.json["dropped_listings"] == {"missing category": 1, "unreadable price": 1}
    assert ended.json["photos_without_listing"] == 1
    assert "2 listings of" in ended.err


def test_failures_are_listed_by_reason_and_tried_again(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    gateway.refused["p2"] = InvalidImageError("truncated")
    (catalogue / "images" / "p3.jpg").unlink()
    ended = ingest(run, catalogue)
    assert ended.code == 3
    assert "2 photos failed, listed in" in ended.err
    assert "NO_FILE 1, INVALID_IMAGE 1" in ended.err
    assert listed(catalogue) == {"p2": "INVALID_IMAGE", "p3": "NO_FILE"}

    gateway.refused.clear()
    gateway.sent.clear()
    ended = ingest(run, catalogue)
    assert ended.code == 3
    assert "2 photos of 4 ingested before" in ended.err
    assert gateway.sent == ["p2"]
    assert listed(catalogue) == {"p3": "NO_FILE"}


def test_an_interrupted_ingest_goes_on(
    run: Run, gateway: Gateway, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    def add(journal: Journal, item_id: str, content: str, **results: int) -> None:
        noting(journal, item_id, content, **results)
        noted.append(item_id)
        if len(noted) == 2:
            raise KeyboardInterrupt

    noting = Journal.add
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add)
        ended = ingest(run, catalogue)
    assert ended.code == 130
    assert "lookalike: interrupted; 2 photos are in, the same command goes on" in ended.err
    gateway.sent.clear()
    assert ingest(run, catalogue).code == 0
    assert sorted(gateway.sent) == sorted(OWNERS.keys() - set(noted))


def test_what_changed_since_is_sent_again(
    run: Run, gateway: Gateway, catalogue: Path, draw_photo: DrawPhoto
) -> None:
    gateway.refused["p4"] = InvalidImageError("truncated")
    ingest(run, catalogue)
    gateway.sent.clear()
    (catalogue / "images" / "p3.jpg").write_bytes(draw_photo(99))
    table = catalogue / "Products.csv"
    table.write_text(table.read_text().replace("£1,250.00", "£900.00"))
    ingest(run, catalogue)
    assert sorted(gateway.sent) == ["p1", "p2", "p3", "p4"]


@pytest.mark.parametrize(
    "error", [EmbeddingSpaceMismatchError("two models"), StorageFullError("no room")]
)
def test_what_would_fail_every_photo_stops_it(
    run: Run, gateway: Gateway, catalogue: Path, error: Exception
) -> None:
    gateway.refused = dict.fromkeys(OWNERS, error)  # type: ignore[arg-type]
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert ended.err.startswith(f"lookalike: {error}")
    assert len(ended.err.splitlines()) == 1


def test_an_index_that_fails_for_long_stops_it_and_the_rest_comes_later(
    run: Run, gateway: Gateway, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.cli.failing._MOST_IN_A_ROW", 2)
    gateway.refused = dict.fromkeys(["p3", "p4"], UpstreamUnavailableError("the index is away"))
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert "the index is away" in ended.err
    gateway.refused, gateway.sent = {}, []
    assert ingest(run, catalogue).code == 0
    assert sorted(gateway.sent) == ["p3", "p4"]


@pytest.mark.parametrize("trouble", ["mismatch", "index"])
def test_a_gateway_that_could_not_write_is_asked_first(
    run: Run, gateway: Gateway, catalogue: Path, trouble: str
) -> None:
    gateway.mismatch = "two models" if trouble == "mismatch" else ""
    gateway.index_ready = trouble != "index"
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert ("two models" if trouble == "mismatch" else "index:1 is not ready") in ended.err
    assert not gateway.sent


def half_done(run: Run, gateway: Gateway, catalogue: Path) -> None:
    gateway.refused["p4"] = InvalidImageError("truncated")
    ingest(run, catalogue)
    gateway.sent.clear()


def test_a_journal_of_a_newer_index_is_refused(run: Run, gateway: Gateway, catalogue: Path) -> None:
    half_done(run, gateway, catalogue)
    gateway.seq = 0  # restored from before, or emptied
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert "it is another one, or an older copy; --restart" in ended.err
    assert ingest(run, catalogue, "--restart").code == 3
    assert sorted(gateway.sent) == ["p1", "p2", "p3", "p4"]


@pytest.mark.parametrize("what", ["gateway", "collection", "embedding_space"])
def test_a_journal_of_another_catalogue_is_refused(
    run: Run, gateway: Gateway, catalogue: Path, what: str
) -> None:
    half_done(run, gateway, catalogue)
    header, *entries = journal(catalogue).read_text().splitlines()
    changed = {**json.loads(header), what: "another"}
    journal(catalogue).write_text("\n".join([json.dumps(changed), *entries, ""]))
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert f"its {what} is another, now it is" in ended.err
    assert "--restart" in ended.err


@pytest.mark.parametrize("text", ["dear diary\n", "{}\n", "[]\n", "dear diary", '{"journal": 1}\n'])
def test_what_is_no_journal_is_left_alone(
    run: Run, gateway: Gateway, catalogue: Path, text: str
) -> None:
    journal(catalogue).write_text(text)
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert "is no journal of `lookalike ingest`" in ended.err
    assert journal(catalogue).read_text() == text


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_journal_that_was_cut_off_loses_only_its_last_line(
    run: Run, gateway: Gateway, catalogue: Path, cut: int
) -> None:
    half_done(run, gateway, catalogue)
    content = journal(catalogue).read_bytes()
    journal(catalogue).write_bytes(content[:-cut])
    ended = ingest(run, catalogue)
    assert ended.code == 3
    assert len(gateway.sent) == 2  # the one that was lost, and the one that fails
    whole = [json.loads(line) for line in journal(catalogue).read_text().splitlines()]
    assert {entry["id"] for entry in whole[1:]} == {"p1", "p2", "p3"}


def test_an_empty_journal_is_none(run: Run, gateway: Gateway, catalogue: Path) -> None:
    journal(catalogue).touch()
    assert ingest(run, catalogue).code == 0


def test_where_no_journal_can_be_the_option_is_named(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    ended = ingest(run, catalogue, "--journal", str(catalogue / "Products.csv" / "journal"))
    assert ended.code == 1
    assert "Not a directory; --journal says where else" in ended.err


def test_the_journal_may_be_elsewhere_and_failures_with_it(
    run: Run, gateway: Gateway, catalogue: Path, tmp_path: Path
) -> None:
    gateway.refused["p4"] = InvalidImageError("truncated")
    elsewhere = tmp_path / "deep" / "journal"
    ingest(run, catalogue, "--journal", str(elsewhere))
    assert len(elsewhere.read_text().splitlines()) == 4
    assert not journal(catalogue).exists()
    assert listed(elsewhere.parent) == {"p4": "INVALID_IMAGE"}
    assert not (catalogue / "Products.failures.csv").exists()


@pytest.mark.parametrize(
    ("table", "text", "words"),
    [
        ("Products.csv", "a,b\n1,2\n", "column 'id' is missing"),
        (
            "Products.csv",
            HEADER + '1,x,"open quote,a,b,£5,c\n2,y,t,a,b,£5,c\n',
            "line 2: a quote opens",
        ),
        ("Products.csv", HEADER + "1,x,t,a,b,£5,c,too,many\n", "line 2: the record has 9 fields"),
        ("Images.csv", "photo,listing\n", "column 'id' is missing"),
        ("Images.csv", "", "is empty; expected columns id, product_id"),
        ("Products.csv", b"\xff\xfe\x00\x01", "is written in UTF-16, not UTF-8"),
    ],
)
def test_an_unreadable_table_is_one_line(
    run: Run, catalogue: Path, table: str, text: str | bytes, words: str
) -> None:
    (catalogue / table).write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_table_without_listings_is_told(run: Run, catalogue: Path) -> None:
    (catalogue / "Products.csv").write_text(HEADER)
    ended = ingest(run, catalogue)
    assert ended.code == 1
    assert "Products.csv: no photo of a complete listing" in ended.err


def test_a_restart_removes_nothing_that_is_no_journal(
    run: Run, gateway: Gateway, catalogue: Path
) -> None:
    table = catalogue / "Images.csv"
    before = table.read_bytes()
    ended = ingest(run, catalogue, "--journal", str(table), "--restart")
    assert ended.code == 1
    assert "Images.csv: is there, and is no journal of `lookalike ingest`" in ended.err
    assert table.read_bytes() == before
