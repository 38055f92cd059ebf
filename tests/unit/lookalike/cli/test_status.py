"""`lookalike status`."""

from __future__ import annotations

import pytest

from tests.command_line import Run
from tests.unit.lookalike.cli.conftest import SPACE, Gateway


def test_every_service_is_shown(run: Run, gateway: Gateway) -> None:
    ended = run("status")
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "version 9.9",
        "embedder:1",
        "net 3",
        "openvino bf16",
        "listings → listings-0123456789ab",
        "1,200 photos of 700 listings",
        "1,100 photos with features",
        "features of 128 floats",
        "reads words: MiniLM",
        "finds words",
        "ranks by blend",
        "found in it: 75 % of 4",
    ):
        assert words in ended.out


def test_json_says_whether_all_is_ready(run: Run, gateway: Gateway) -> None:
    answer = run("status", "--json").json
    assert answer["ready"] is True
    assert answer["embedder"]["embedding_space"] == SPACE
    assert answer["index"]["photos"] == 1200
    assert answer["index"]["photos_with_features"] == 1100
    assert (answer["ranking"], answer["lacking"]) == ("blend", [])
    assert answer["embedder"]["text_encoder"] == "MiniLM"
    assert answer["index"]["finds_words"] is True


def test_a_model_that_reads_no_words_and_a_catalogue_that_finds_none_say_so(
    run: Run, gateway: Gateway
) -> None:
    gateway.text_encoder, gateway.finds_words = "", False
    ended = run("status")
    assert ended.code == 0
    assert "reads no words" in ended.out
    assert "finds no words" in ended.out


@pytest.mark.parametrize("trouble", ["index", "mismatch"])
def test_what_is_not_ready_is_status_1(run: Run, gateway: Gateway, trouble: str) -> None:
    if trouble == "index":
        gateway.index_ready = False
    else:
        gateway.mismatch = "model and catalogue differ"
    ended = run("status")
    assert ended.code == 1
    assert ("not ready" in ended.out) == (trouble == "index")
    assert ("model and catalogue differ" in ended.err) == (trouble == "mismatch")


def test_what_lacks_for_better_answers_is_said_and_is_no_failure(
    run: Run, gateway: Gateway
) -> None:
    gateway.lacking = ["no features: lookalike reindex", "nothing fitted: training export"]
    ended = run("status")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "for better answers: no features: lookalike reindex",
        "for better answers: nothing fitted: training export",
    ]
    answer = run("status", "--json")
    assert (answer.json["lacking"], answer.err) == (gateway.lacking, "")
