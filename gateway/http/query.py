"""What a search looks for: photos, a photo of the catalogue, words, a vector, or a mix of these.

Forms write a mix as photos beside `like` and `unlike`, with weights behind a `^` as Lucene writes
boosts ("blue^0.5"); JSON can have it as a list, `mix`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateway import validation
from gateway.http import encoded
from gateway.http.bodies import MAX_PHOTOS, ParsedRequest, encodable
from gateway.http.fields import SearchFields
from gateway.listings import ItemId, Mix, MixPart, Photos, PhotoVector, Query, Words
from gateway.validation import MAX_WEIGHT
from gateway.vectors import compact
from lookalike.errors import InvalidArgumentError, LookalikeError, WordsUnavailableError
from lookalike.limits import MAX_ID_LENGTH

MAX_PARTS = validation.MAX_IMAGES
_KINDS = ("image", "text", "item_id")
_NUMBER = re.compile(r"[+-]?([0-9]{1,9}\.?[0-9]{0,9}|\.[0-9]{1,9})")
_PART = re.compile(r"mix\.parts\[([0-9]+)\]")

# Of `mix`, by hand: references of pydantic's own would lead nowhere in /openapi.json.
MIX_SCHEMA: dict[str, Any] = {
    "type": "array",
    "maxItems": MAX_PARTS,
    "description": "Several things of which each leads towards it or away from it: objects of "
    "`image`, `text` or `item_id`, and `weight`, -10 to 10, below 0 away from it, 1 if it is not "
    "given.",
    "items": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "description": "A photo, as base64 or as a data URL."},
            "text": {"type": "string", "description": "Words, at most 1,024 characters."},
            "item_id": {"type": "string", "description": "Id of a photo of the catalogue."},
            "weight": {"type": "number", "minimum": -MAX_WEIGHT, "maximum": MAX_WEIGHT},
        },
    },
}


@dataclass(frozen=True)
class Wanted:
    """What to look for, and which field each part of a mix came from."""

    query: Query
    places: tuple[str, ...] = ()

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Makes errors of a mix name the fields that it came from."""
        try:
            yield
        except LookalikeError as error:
            if self.places and error.field.startswith("mix"):
                part = _PART.match(error.field)
                error.field = self.places[int(part[1]) if part else 0]
            elif isinstance(error, WordsUnavailableError) and not error.field:
                error.field = self._place_of_words()
            raise

    def _place_of_words(self) -> str:
        if not isinstance(self.query, Mix):
            return "text"
        read = zip(self.query.parts, self.places, strict=True)
        return next((place for part, place in read if isinstance(part.part, Words)), "")


def wanted(
    parsed: ParsedRequest, fields: SearchFields, check_size: Callable[[bytes], None]
) -> Wanted:
    """Returns what to look for.

    Args:
        parsed: Has the photos.
        fields: The other fields.
        check_size: Refuses a photo of `mix` that is too large.

    Raises:
        InvalidArgumentError: It is nothing, or several things that are no mix, or a mix is wrong.
    """
    if fields.features is not None and fields.vector is None:
        raise InvalidArgumentError(
            "features were sent without a vector; send the vector of the same photo, too",
            field="features",
        )
    beside = list(_beside(fields))
    if fields.mix is not None:
        return _mix(_of_json(parsed, fields, beside, check_size))
    if beside or fields.image_weight:
        return _mix([*_subjects(parsed, fields), *beside])
    queries: list[Query] = []
    if parsed.photos:
        queries.append(Photos(parsed.photos))
    if fields.item_id is not None:
        queries.append(ItemId(fields.item_id))
    if fields.text is not None:
        queries.append(Words(fields.text))
    if fields.vector is not None:
        features = compact(fields.features or ())
        queries.append(PhotoVector(fields.vector, fields.embedding_space, features))
    if len(queries) != 1:
        raise InvalidArgumentError(
            f"{len(queries)} things to look for were sent; send photos (1 to {MAX_PHOTOS} parts "
            "`image` of a form, or `images` of JSON), or item_id, or text, or vector with "
            "embedding_space; words beside another of these are sent as `like` or `unlike`",
            field="image",
        )
    return Wanted(queries[0])


_Placed = tuple[str, MixPart]  # the field that a part came from, and the part


def _mix(parts: Sequence[_Placed]) -> Wanted:
    places = tuple(place for place, _ in parts)
    if not 1 <= len(parts) <= MAX_PARTS:
        named = ", ".join(dict.fromkeys(places)) or "mix"
        raise InvalidArgumentError(
            f"{len(parts)} things were sent to mix ({named}); it must be 1 to {MAX_PARTS}",
            field=places[-1] if places else "mix",
        )
    if not any(part.weight > 0 for _, part in parts):
        raise InvalidArgumentError(
            "everything that was sent leads away: no weight is above 0; say what to look for",
            field=places[0],
        )
    return Wanted(Mix(tuple(part for _, part in parts)), places)


def _subjects(parsed: ParsedRequest, fields: SearchFields) -> Iterator[_Placed]:
    """Yields what a form looks for beside `like` and the others."""
    if fields.vector is not None:
        raise InvalidArgumentError(
            "a vector cannot be mixed with other things; send photos, item_id or text instead",
            field="vector",
        )
    for photo, weight in zip(parsed.photos, _photo_weights(parsed, fields), strict=True):
        yield "image", MixPart(photo, weight)
    if fields.item_id is not None:
        yield "item_id", MixPart(_item(fields.item_id, "item_id"))
    if fields.text is not None:
        yield "text", MixPart(_words(fields.text, "text"))


def _photo_weights(parsed: ParsedRequest, fields: SearchFields) -> Sequence[float]:
    """Returns a weight for each photo; one for all together is shared by them."""
    count, given = len(parsed.photos), fields.image_weight or (1.0,)
    if fields.image_weight and (not count or len(given) not in {1, count}):
        raise InvalidArgumentError(
            f"image_weight has {len(given)} entries, and there are {count} photos; it must have 1 "
            "for all together, or 1 for each",
            field="image_weight",
        )
    for weight in given:
        validation.weight(weight, "image_weight", "image_weight")
    return given if len(given) == count else [given[0] / count for _ in parsed.photos]


def _beside(fields: SearchFields) -> Iterator[_Placed]:
    """Yields what `like`, `unlike` and their likes have."""
    for name, sign in (("like", 1), ("unlike", -1)):
        for sent in getattr(fields, name):
            text, weight = _boosted(sent, name)
            yield name, MixPart(_words(text, name), sign * weight)
    for name, sign in (("like_item", 1), ("unlike_item", -1)):
        for sent in getattr(fields, name):
            item_id, weight = _boosted(sent, name)
            yield name, MixPart(_item(item_id, name), sign * weight)


def _boosted(sent: str, name: str) -> tuple[str, float]:
    """Splits "blue^0.5" into words and weight; what has no number behind a `^` has the weight 1."""
    what, _, number = sent.rpartition("^")
    if not what or not _NUMBER.fullmatch(number):
        return sent, 1.0
    weight = float(number)
    if not 0 < weight <= MAX_WEIGHT:
        other = name.removeprefix("un") if name.startswith("un") else f"un{name}"
        raise InvalidArgumentError(
            f"{name} is {_short(what)} with the weight {number}; it must be above 0 and at most "
            f"{MAX_WEIGHT:g}; what leads the other way is `{other}`",
            field=name,
        )
    return what, weight


def _of_json(
    parsed: ParsedRequest,
    fields: SearchFields,
    beside: Sequence[_Placed],
    check_size: Callable[[bytes], None],
) -> list[_Placed]:
    others = {"image": parsed.photos, "like": beside, "image_weight": fields.image_weight}
    single = {name: getattr(fields, name) for name in ("item_id", "text", "vector")}
    named = [name for name, sent in others.items() if sent]
    named += [name for name, sent in single.items() if sent is not None]
    if named:
        raise InvalidArgumentError(
            f"mix was sent with {', '.join(named)}; put all that is looked for into mix",
            field="mix",
        )
    sent = fields.mix or ()
    if len(sent) > MAX_PARTS:  # before any photo is decoded
        raise InvalidArgumentError(
            f"mix has {len(sent)} entries; it must have 1 to {MAX_PARTS}", field="mix"
        )
    return [("mix", _json_part(f"mix[{i}]", each, check_size)) for i, each in enumerate(sent)]


def _json_part(at: str, sent: Any, check_size: Callable[[bytes], None]) -> MixPart:
    if not isinstance(sent, dict):
        raise InvalidArgumentError(
            f"{at} is of type {type(sent).__name__}; it must be a JSON object of image, text or "
            "item_id, and weight; forms send like and unlike instead",
            field="mix",
        )
    given = {name: value for name, value in sent.items() if value is not None}
    if unknown := sorted(given.keys() - {*_KINDS, "weight"}):
        raise InvalidArgumentError(
            f"{at} has no field {_short(unknown[0])}; there are {', '.join(_KINDS)}, weight",
            field="mix",
        )
    named = [name for name in _KINDS if name in given]
    if len(named) != 1:
        raise InvalidArgumentError(
            f"{at} has {' and '.join(named) or 'nothing'}; it must have one of {', '.join(_KINDS)}",
            field="mix",
        )
    weight, (name,) = given.get("weight", 1.0), named
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidArgumentError(
            f"{at}.weight is of type {type(weight).__name__}; it must be a number", field="mix"
        )
    validation.weight(weight, f"{at}.weight", "mix")
    value = given[name]
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{at}.{name} is of type {type(value).__name__}; it must be text", field="mix"
        )
    if name == "image":
        photo = encoded.decoded(value, f"{at}.image")
        check_size(photo)
        return MixPart(photo, float(weight))
    encodable(f"{at}.{name}", value)
    part = _words if name == "text" else _item
    return MixPart(part(value, f"{at}.{name}"), float(weight))


def _words(text: str, name: str) -> Words:
    validation.search_words(text, name)
    return Words(text)


def _item(item_id: str, name: str) -> ItemId:
    if not 1 <= len(item_id) <= MAX_ID_LENGTH:
        raise InvalidArgumentError(
            f"{name} has {len(item_id)} characters; it must have 1 to {MAX_ID_LENGTH}", field=name
        )
    return ItemId(item_id)


def _short(text: str) -> str:
    return repr(text[:40] + ("…" if len(text) > 40 else ""))
