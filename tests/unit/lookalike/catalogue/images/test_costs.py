"""What a photo may cost, told from its headers and markers: time and memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import features

from lookalike.catalogue.images import ImageLimits, decode, survey
from lookalike.errors import ImageTooLargeError, InvalidImageError, LookalikeError
from tests.photos import encode, quarters
from tests.unit.lookalike.catalogue.images.test_refusals import jpeg, png_of_declared_size

LIMITS = ImageLimits()


def refused(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(LookalikeError) as caught:
        decode(data, limits)
    assert isinstance(caught.value, InvalidImageError | ImageTooLargeError)
    return caught.value.message


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def packed_zeros(mebibytes: int) -> bytes:
    """Compresses zeros, one mebibyte after the other: all but the first are the same."""
    packer = zlib.compressobj(9)
    first, *others = (
        packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + others[0] * (mebibytes - 1)


def png_with(*chunks: bytes) -> bytes:
    """A good PNG with more chunks behind its header."""
    whole = encode(quarters(), "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def test_scans_that_hold_nothing_are_counted() -> None:
    few, many = jpeg(frame=0xC2, scans=10), jpeg(frame=0xC2, scans=1800)
    assert survey(few, LIMITS).passes == "10 scans"
    small = survey(many, LIMITS)
    assert small.seconds > 100 * small.pixels * 4 / 1e9
    message = refused(many.replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 8000, 8000)))
    assert message.startswith("image is 8000×8000 = 64,000,000 pixels of JPEG in 1,800 scans")
    assert message.endswith("s to decode; the limit is 2")


def test_what_looks_like_a_scan_within_another_segment_is_none() -> None:
    data = jpeg()
    comment = b"\xff\xfe" + struct.pack(">H", 602) + b"\xff\xda\0\x08ab" * 100
    assert survey(data[:2] + comment + data[2:], LIMITS).passes == ""


def test_scans_within_what_a_decoder_passes_over_are_counted() -> None:
    """Looking for a restart, it skips a marker that there is not, but no body of it."""
    data = jpeg(frame=0xC2)
    hidden = jpeg(frame=0xC2, scans=50)
    hidden = hidden[hidden.index(b"\xff\xda") : -2]
    for code in (0x02, 0xBF):
        marker = bytes((0xFF, code)) + struct.pack(">H", len(hidden) + 2)
        assert survey(data[:-2] + marker + hidden + data[-2:], LIMITS).passes == "51 scans"


def test_a_narrow_jpeg_costs_what_its_blocks_do() -> None:
    narrow = jpeg(frame=0xC2, scans=10)
    narrow = narrow.replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 48, 1))
    whole = survey(jpeg(frame=0xC2, scans=10), LIMITS)
    assert survey(narrow, LIMITS).ns_per_pixel == 8 * whole.ns_per_pixel


@pytest.mark.parametrize(("width", "height"), [(65_536, 1), (1, 60_000_000)])
def test_a_side_over_the_limit_is_refused_with_both_numbers(width: int, height: int) -> None:
    assert refused(png_of_declared_size(width, height)) == (
        f"image is {width}×{height} pixels; the limit of a side is 65,535"
    )


@pytest.mark.parametrize(
    ("colour", "bits", "bytes_each"), [(0, 8, 1), (0, 16, 2), (2, 8, 4), (2, 16, 4), (6, 16, 4)]
)
def test_memory_is_counted_by_what_the_decoder_holds(
    colour: int, bits: int, bytes_each: int
) -> None:
    data = bytearray(png_of_declared_size(8000, 8000, bits=bits))
    data[25] = colour
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    header = survey(bytes(data), ImageLimits(max_seconds=100))
    assert header.memory == 64_000_000 * bytes_each


def test_memory_over_the_limit_is_refused_with_both_numbers() -> None:
    data = encode(quarters((100, 100)), "WEBP")
    assert decode(data, ImageLimits(max_memory=160_000)).size == (100, 100)
    message = refused(data, ImageLimits(max_memory=159_999))
    assert "100×100 = 10,000 pixels of WEBP, which take 160,000 bytes of memory" in message
    assert message.endswith("the limit is 159,999")


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"a\0\0" + packed_zeros(100)),
        chunk(b"tEXt", b"a\0" + bytes(3 << 20)),
        chunk(b"zTXt", b"damaged")[:-1] + b"?",
        chunk(b"acTL", bytes(8)),
        chunk(b"iCCP", b"damaged\0\0damaged"),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(100)),
    ],
)
def test_chunks_that_do_not_draw_are_not_read(extra: bytes) -> None:
    assert np.array_equal(decode(png_with(extra), LIMITS), decode(png_with(), LIMITS))


def test_what_would_unpack_to_a_huge_profile_is_refused() -> None:
    assert "profile of 4,194,305 bytes; the limit is 4,194,304" in refused(
        png_with(chunk(b"iCCP", b"a\0\0" + packed_zeros(1024)))
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_more_parts_than_any_photo_has_are_refused(kind: str) -> None:
    whole = encode(quarters(), kind)
    part, place = {
        "PNG": (chunk(b"tEXt", b""), 33),
        "JPEG": (b"\xff\xfe\0\2", 2),
        "GIF": (b"!\xfe\1a\0", 13 + 3 * 4),
    }[kind]
    few, many = (whole[:place] + part * count + whole[place:] for count in (100, 20_001))
    assert decode(few, LIMITS).size == (64, 48)
    assert "has more than 20,000" in refused(many)


def test_exif_that_names_the_same_bytes_thousands_of_times_costs_nothing() -> None:
    entries = b"".join(struct.pack(">HHII", 40_000 + n, 7, 60_000, 8) for n in range(5000))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + entries
    code = (
        "import resource, sys; from lookalike.catalogue.images import *;"
        "data = sys.stdin.buffer.read(); decode(data, ImageLimits());"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "decode(data[:2] + bytes.fromhex(sys.argv[1]) + data[2:], ImageLimits());"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    ran = subprocess.run(
        [sys.executable, "-c", code, segment.hex()],
        input=encode(quarters(), "JPEG"), capture_output=True, check=True,
    )  # fmt: skip
    assert int(ran.stdout) < 8_000, "kilobytes"


def test_tiles_far_larger_than_the_photo_are_counted() -> None:
    whole = bytearray(encode(quarters(), "TIFF"))
    (start,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, start)
    tags = [bytes(whole[start + 2 + 12 * n :][:12]) for n in range(count)]
    wide = [struct.pack("<HHII", tag, 4, 1, 60_000) for tag in (322, 323)]
    tiles = [struct.pack("<H", 324) + tag[2:] for tag in tags if tag[:2] == b"\x11\1"]
    directory = sorted([*tags, *wide, *tiles], key=lambda tag: struct.unpack("<H", tag[:2]))
    body = struct.pack("<H", len(directory)) + b"".join(directory) + bytes(4)
    data = bytes(whole[:4]) + struct.pack("<I", len(whole)) + bytes(whole[8:]) + body
    assert "take 10,800,012,288 bytes of memory" in refused(data)


def tiff(entries: dict[int, list[int]]) -> bytes:
    """A TIFF's directory of 32-bit numbers, for 8×8 grey pixels in strips of a row."""
    known = {256: [8], 257: [8], 258: [8], 259: [1], 262: [1], 277: [1], 278: [1]}
    tags = sorted((known | entries).items())
    values, place = b"", 8 + 2 + 12 * len(tags) + 4
    directory = struct.pack("<H", len(tags))
    for tag, numbers in tags:
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        directory += struct.pack("<HHI", tag, 4, len(numbers))
        if len(numbers) == 1:
            directory += packed
        else:
            directory += struct.pack("<I", place + len(values))
            values += packed
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values + bytes(1000)


def test_strips_have_bytes_of_their_own() -> None:
    apart = [500 + 8 * row for row in range(8)]
    assert decode(tiff({273: apart, 279: [8] * 8}), LIMITS).size == (8, 8)
    # Empty ones are nowhere, as in pictures of which parts were never written.
    survey(tiff({273: [*apart[:-2], 500, 500], 279: [8] * 6 + [0] * 2}), LIMITS)
    for offsets in ([500] * 8, [500, *apart[:-1]]):
        assert "strips or tiles share their bytes" in refused(tiff({273: offsets, 279: [8] * 8}))
    assert "does not tell the length" in refused(tiff({273: apart, 279: [8]}))


def test_more_strips_than_any_photo_has_are_refused() -> None:
    many = {257: [20_001], 273: list(range(500, 20_501)), 279: [1] * 20_001}
    assert "has more than 20,000 strips or tiles" in refused(tiff(many))


@pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
def test_avif_is_decoded_within_the_bounds() -> None:
    data = encode(quarters(), "AVIF", quality=95)
    assert np.asarray(decode(data, LIMITS))[40, 50].min() > 250
    assert survey(data, LIMITS).pixels == 64 * 48
    place = data.index(b"ispe") + 8
    huge = data[:place] + struct.pack(">II", 60_000, 60_000) + data[place + 8 :]
    assert "60000×60000 = 3,600,000,000 pixels; the limit is 64,000,000" in refused(huge)


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def heif(
    references: dict[int, list[int]], auxiliary: dict[int, list[int]] | None = None, side: int = 100
) -> bytes:
    """A HEIF's boxes: item 1 is the picture, others are its parts, or alpha of others."""
    made_of = b"".join(
        box(name, struct.pack(f">HH{len(others)}H", item, len(others), *others))
        for name, told in ((b"dimg", references), (b"auxl", auxiliary or {}))
        for item, others in told.items()
    )
    named = [*references.items(), *(auxiliary or {}).items()]
    ids = sorted({1, *(item for key, others in named for item in (key, *others))})
    places = struct.pack(">II", 0, len(ids)) + b"".join(
        struct.pack(">HBB", item, 1, 1) for item in ids
    )
    size = box(b"ispe", struct.pack(">III", 0, side, side))
    properties = box(b"iprp", box(b"ipco", size) + box(b"ipma", places))
    picture = box(b"pitm", struct.pack(">IH", 0, 1))
    meta = box(b"meta", bytes(4) + picture + box(b"iref", bytes(4) + made_of) + properties)
    return box(b"ftyp", b"heic" + bytes(4)) + meta


def test_each_use_of_a_tile_is_counted() -> None:
    once = survey(heif({}), LIMITS)
    tiled = survey(heif({1: [2, 2, 3]}), LIMITS)
    assert (once.passes, tiled.passes) == ("", "3 tiles")
    assert tiled.ns_per_pixel == 3 * once.ns_per_pixel
    nested = heif({1: [2] * 50, 2: [3] * 50, 3: [4] * 50, 4: [5] * 50})
    assert "which take 875,000,000,000 bytes of memory" in refused(nested)


def test_alpha_is_counted_wherever_it_belongs() -> None:
    """That of the picture, and that of each tile, which may be made of tiles itself."""
    once = survey(heif({}, {2: [1]}), LIMITS)
    assert once.ns_per_pixel == survey(heif({}), LIMITS).ns_per_pixel
    for auxiliary in ({9: [1]}, {9: [2]}, {9: [5, 2]}):
        tiled = survey(heif({1: [2], 9: [3] * 7}, auxiliary), LIMITS)
        assert tiled.ns_per_pixel == 7 * once.ns_per_pixel
    assert "more than 4 deep" in refused(heif({1: [2], 9: [2]}, {9: [2]}))


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ({1: [2] * 15_000, 2: [3] * 6000}, "has more than 20,000 boxes"),
        ({1: [1]}, "pictures made of pictures more than 4 deep"),
    ],
)
def test_pictures_made_of_too_many_are_refused(
    references: dict[int, list[int]], words: str
) -> None:
    assert words in refused(heif(references))
