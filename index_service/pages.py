"""Page tokens, opaque to callers: where the next page begins, and a digest of the request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from lookalike.errors import InvalidPageTokenError
from lookalike.index.v1 import index_pb2 as pb

_MAX_TOKEN = 256


def token(request: pb.ListItemsRequest, following: int) -> str:
    """Returns the token of the page that begins after `following`; empty if there is none."""
    if not following:
        return ""
    return base64.urlsafe_b64encode(json.dumps([following, _digest(request)]).encode()).decode()


def after(request: pb.ListItemsRequest) -> int:
    """Returns where the request's page begins; 0 for the first.

    Raises:
        InvalidPageTokenError: Its token was not made here, or was made for another request.
    """
    sent = request.page_token
    if not sent:
        return 0
    if len(sent) > _MAX_TOKEN:
        raise _invalid(f"has {len(sent)} characters, more than any of ours")
    try:
        following, digest = json.loads(base64.urlsafe_b64decode(sent))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise _invalid("is none of ours") from None
    if digest != _digest(request):
        raise _invalid("belongs to a request of another collection, filter or order")
    if type(following) is not int or not 0 < following < 1 << 62:
        raise _invalid("is none of ours")
    return following


def _digest(request: pb.ListItemsRequest) -> str:
    same = pb.ListItemsRequest(collection=request.collection, filter=request.filter)
    data = same.SerializeToString(deterministic=True)
    return hashlib.blake2b(data, digest_size=9).hexdigest()


def _invalid(what: str) -> InvalidPageTokenError:
    return InvalidPageTokenError(
        f"page_token {what}; send next_page_token of the page before, or none", field="page_token"
    )
