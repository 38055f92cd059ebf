"""What an AVIF's decoder is made to do is read from its units, whatever its boxes tell."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from benchmarks.outside.photos import with_repeated_frame
from lookalike.catalogue.images import ImageLimits, av1, decode, survey
from lookalike.catalogue.images.headers import HeaderError, check_parts
from lookalike.errors import ImageTooLargeError, InvalidImageError
from tests.photos import encode, quarters

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
LIMITS = ImageLimits()


def avif(side: int = 64, mode: str = "RGB") -> bytes:
    return encode(Image.new(mode, (side, side), "teal"), "AVIF")


def told_to_be(data: bytes, width: int, height: int) -> bytes:
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def bits(*fields: tuple[int, int]) -> bytes:
    """Values of so many bits, filled up to a byte."""
    text = "".join(f"{value:0{count}b}" for value, count in fields)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def unit(kind: int, body: bytes) -> bytes:
    return bytes([kind << 3 | 2, len(body)]) + body


def test_one_frame_costs_what_its_boxes_tell() -> None:
    for mode in ("RGB", "RGBA"):
        header = survey(avif(mode=mode), LIMITS)
        assert (header.bytes_per_pixel, header.ns_per_pixel, header.passes) == (14, 50, "")


def test_frames_that_nobody_sees_are_counted() -> None:
    many = with_repeated_frame(avif(64), 9)
    assert decode(many, LIMITS).size == (64, 64)  # so it is a photo, whose cost is told:
    header = survey(many, LIMITS)
    assert (header.passes, header.ns_per_pixel) == ("10 frames of 4,096 pixels", 500)
    with pytest.raises(ImageTooLargeError) as caught:
        decode(with_repeated_frame(avif(2000), 100), LIMITS)
    assert caught.value.message == (
        "image is 2000×2000 = 4,000,000 pixels of AVIF in 101 frames of 4,000,000 pixels, which "
        "take about 20.2 s to decode; the limit is 2"
    )


def test_a_picture_larger_than_its_boxes_tell_costs_what_it_is() -> None:
    small = told_to_be(avif(256), 16, 16)
    assert decode(small, LIMITS).size == (16, 16)
    header = survey(small, LIMITS)
    assert header.memory == 256 * 256 * 14
    assert header.passes == "a frame of 65,536 pixels"


def test_a_sequence_is_decoded_as_its_still_picture() -> None:
    out = io.BytesIO()
    colours = [Image.new("RGB", (64, 64), name) for name in ("red", "blue", "blue")]
    colours[0].save(out, "AVIF", save_all=True, append_images=colours[1:])
    assert out.getvalue()[8:12] == b"avis"
    assert np.asarray(decode(out.getvalue(), LIMITS))[32, 32, 0] > 240


def test_frames_may_choose_any_size_that_their_bits_hold() -> None:
    """Unless the header is that of a single picture."""
    size = ((11, 4), (9, 4), (3999, 12), (999, 10))
    reduced = bits((0, 4), (1, 1), (0, 5), *size)
    assert av1.frames(unit(1, reduced) + unit(6, b"") + unit(3, b"")) == [4_000_000] * 2
    plain = bits((0, 5), (0, 1), (0, 1), (0, 5), (0, 12), (0, 5), *size)
    assert av1.frames(unit(1, plain) + unit(6, b"")) == [4096 * 1024]
    timed = (
        *((0, 5), (1, 1), (0, 64), (1, 1), (1, 3), (1, 2)),  # intervals of a number of 2 bits
        *((1, 1), (2, 5), (0, 42), (1, 1), (1, 5)),  # a decoder's model; two operating points
        *((0, 12), (9, 5), (0, 1), (1, 1), (0, 7), (1, 1), (0, 4)),
        *((0, 12), (1, 5), (0, 1), (0, 1)),
    )
    assert av1.frames(unit(1, bits(*timed, *size)) + unit(6, b"")) == [4096 * 1024]


def test_a_unit_without_a_size_is_the_last() -> None:
    header = unit(1, bits((0, 4), (1, 1), (0, 5), (1, 4), (1, 4), (3, 2), (3, 2)))
    assert av1.frames(header + b"\x34\0" + b"\x32\0" * 10) == [16]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (unit(1, b"\0"), "AVIF with a damaged sequence header"),
        (b"\x0a" + b"\xff" * 9, "AVIF with a damaged unit"),
    ],
)
def test_damaged_units_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        av1.frames(data)


def test_reading_ends_at_the_first_unit_too_many() -> None:
    """Of those that hold nothing, 12 MB are six million."""
    seen = []

    def count() -> None:
        seen.append(1)
        check_parts(len(seen), "units")

    with pytest.raises(HeaderError, match="more than 20,000 units"):
        av1.frames(unit(15, b"") * 40_000, count)
    assert len(seen) == 20_001


def test_pictures_may_not_share_their_bytes() -> None:
    """Each would be read again, and 12 MB be joined 20,000 times."""
    data = encode(quarters(), "AVIF")
    table = data.index(b"iloc")
    end = table - 4 + int.from_bytes(data[table - 4 : table], "big")
    whole = struct.pack(">2I", 0, len(data)) * 2
    items = data[:table] + data[table : end - 10] + b"\0\2" + whole
    items = items[: table - 4] + struct.pack(">I", end + 10 - table + 2) + items[table:]
    with pytest.raises(InvalidImageError, match="pictures that share their bytes"):
        survey(items + data[end:], LIMITS)
