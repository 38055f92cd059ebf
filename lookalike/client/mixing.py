"""Parts of a mix: photos, words and photos of the catalogue, each with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from lookalike.client.photos import Photo, is_in_memory, read_photo
from lookalike.client.text import message, sendable
from lookalike.errors import InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2 as pb


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a mix; exactly one of `image`, `text` and `item_id` is set.

    Attributes:
        image: A photo, in any form that `Photo` lists.
        text: Words, at most 1,024 characters.
        item_id: Id of a photo of the catalogue; the answer leaves its own listing out.
        weight: How much it counts, -10 to 10 and no nearer to 0 than 0.000001; below 0 it
            leads away.

    Raises:
        InvalidArgumentError: None of the three is set, or several are.
    """

    image: Photo | None = None
    text: str | None = None
    item_id: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Checks that it is one thing; the gateway checks the values."""
        given = [name for name in ("image", "text", "item_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidArgumentError(
                f"a Part has {' and '.join(given) or 'nothing'}; give image=, text= or item_id=, "
                "and one alone",
                field="mix.parts",
            )


def read_parts(parts: Sequence[Part]) -> list[Part]:
    """Returns the parts with encoded bytes for photos; for errors see `read_photo`."""
    return [
        part if part.image is None else replace(part, image=read_photo(part.image))
        for part in parts
    ]


def are_in_memory(parts: Sequence[Part]) -> bool:
    """Whether `read_parts` needs no I/O."""
    return all(part.image is None or is_in_memory(part.image) for part in parts)


def mix_parts(parts: Sequence[Part]) -> list[pb.MixPart]:
    """Returns the messages of parts, whose photos are encoded bytes by now."""
    return [_message(number, part) for number, part in enumerate(parts)]


def _message(number: int, part: Part) -> pb.MixPart:
    field = f"mix.parts[{number}]"
    if part.item_id is not None:
        return message(pb.MixPart, field)(item_id=part.item_id, weight=part.weight)
    if part.text is not None:
        text = sendable(part.text, f"{field}.text")
        return pb.MixPart(text=text, weight=part.weight)
    return pb.MixPart(image=cast("bytes", part.image), weight=part.weight)
