"""What a copied item says of what it was made from."""

from __future__ import annotations

import hashlib

from lookalike.cli.reindexing.copying import fingerprint
from lookalike.client.index import messages
from lookalike.index.v1 import index_pb2 as pb


def test_a_fingerprint_is_that_of_the_indexs_message_so_copies_of_before_are_known() -> None:
    sent = pb.Item(
        id="a",
        product_id="p",
        price=5,
        attributes={"title": "Lamp", "location": "Leeds"},
        vector=pb.Vector(values=[0.1, 0.2], embedding_space="space-1"),
    )
    expected = hashlib.sha256(sent.SerializeToString(deterministic=True)).hexdigest()[:32]
    sent.attributes["reindexed_from"] = "another"
    assert fingerprint(messages.item(sent)) == expected
