"""Page tokens, ours and those that only claim to be."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index_service import pages
from lookalike.errors import InvalidPageTokenError
from lookalike.index.v1 import index_pb2 as pb


def request(token: str = "", **changes: object) -> pb.ListItemsRequest:
    fields = {"collection": "listings", "filter": pb.Filter(categories=["home"]), **changes}
    return pb.ListItemsRequest(page_token=token, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("following", [1, 12345, (1 << 62) - 1])
def test_token_leads_to_where_the_next_page_begins(following: int) -> None:
    sent = request(pages.token(request(), following), page_size=7, min_seq=9)
    assert pages.after(sent) == following


def test_first_and_last_page_need_no_token() -> None:
    assert pages.after(request()) == 0
    assert pages.token(request(), 0) == ""


@pytest.mark.parametrize(
    "changes", [{"collection": "others"}, {"filter": None}, {"filter": pb.Filter(min_price=1)}]
)
def test_token_of_another_request_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidPageTokenError, match="another collection, filter") as caught:
        pages.after(request(pages.token(request(), 5), **changes))
    assert caught.value.field == "page_token"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


DIGEST = json.loads(base64.urlsafe_b64decode(pages.token(request(), 5)))[1]


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "====",
        "é",
        "\0",
        "x" * 257,
        encoded(None),
        encoded(5),
        encoded([]),
        encoded([5]),
        encoded([5, DIGEST, 5]),
        encoded({"a": 1, "b": 2}),
        encoded([5, None]),
        encoded([0, DIGEST]),
        encoded([-1, DIGEST]),
        encoded([True, DIGEST]),
        encoded([5.0, DIGEST]),
        encoded(["5", DIGEST]),
        encoded([1 << 62, DIGEST]),
        encoded([float("nan"), DIGEST]),
        base64.urlsafe_b64encode(b"[" * 190).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe[1]").decode(),
        base64.urlsafe_b64encode(b"9" * 190).decode(),
    ],
)
def test_hostile_token_is_refused_as_none_of_ours(token: str) -> None:
    with pytest.raises(InvalidPageTokenError, match="send next_page_token of the page before"):
        pages.after(request(token))


@given(st.text(min_size=1, max_size=300))
def test_no_text_is_taken_for_a_token_or_ends_in_another_error(token: str) -> None:
    with pytest.raises(InvalidPageTokenError):
        pages.after(request(token.encode("utf-8", "replace").decode()))
