"""Thumbnails: what they look like, where they are, and that they are there whole or not at all."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from gateway.thumbnails import LIMITS, SIDE, ThumbnailError, ThumbnailStore, render
from lookalike.catalogue import images
from lookalike.errors import StartupError

DrawPhoto = Callable[..., bytes]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ThumbnailStore]:
    store = ThumbnailStore(str(tmp_path / "thumbnails"))
    store.open()
    yield store
    store.close()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("WEBP", "RGB")
    return image


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize(
    ("size", "small"),
    [((1000, 500), (256, 128)), ((300, 900), (85, 256)), ((40, 30), (40, 30))],
)
def test_sides_fit_and_keep_their_ratio(
    draw_photo: DrawPhoto, kind: str, size: tuple[int, int], small: tuple[int, int]
) -> None:
    thumbnail = opened(render(draw_photo(1, size, kind)))
    assert max(abs(a - b) for a, b in zip(thumbnail.size, small, strict=True)) <= 1
    assert max(thumbnail.size) <= SIDE


def test_photo_lying_on_its_side_stands_up() -> None:
    photo = Image.new("RGB", (80, 40), "blue")
    photo.paste("red", (0, 0, 40, 40))  # left half red: on top once it is turned
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    thumbnail = opened(render(encoded(photo, "JPEG", exif=exif, quality=95)))
    assert thumbnail.size == (40, 80)
    red, _, blue = thumbnail.getpixel((20, 5))  # type: ignore[misc]
    assert red > 200
    assert blue < 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (300, 200))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert opened(render(encoded(image, kind))).size == (256, 171)


@pytest.mark.parametrize("bright", [0, 200, 32768, 65535])
def test_wide_greys_are_as_the_embedder_sees_them(bright: int) -> None:
    photo = encoded(Image.fromarray(np.full((64, 64), bright, np.uint16)))
    grey = opened(render(photo)).getpixel((32, 32))
    assert grey == pytest.approx(images.decode(photo, LIMITS).getpixel((32, 32)), abs=1)


def test_transparent_parts_are_white() -> None:
    assert opened(render(encoded(Image.new("RGBA", (9, 9))))).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("image", [b"", b"no photo", b"\xff\xd8\xff\xe0 no photo"])
def test_what_is_no_photo_is_refused(image: bytes) -> None:
    with pytest.raises(ThumbnailError, match="no thumbnail could be made"):
        render(image)


def test_photo_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    bomb = encoded(Image.new("1", (9000, 9000)))
    with pytest.raises(ThumbnailError, match=r"81,000,000 pixels; the limit is 64,000,000$"):
        render(bomb)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_large_photo_lying_on_its_side_stands_up(kind: str) -> None:
    photo = Image.new("RGB", (1600, 800), "blue")
    photo.paste("red", (0, 0, 800, 800))
    exif = Image.Exif()
    exif[0x0112] = 6
    thumbnail = opened(render(encoded(photo, kind, exif=exif)))
    assert thumbnail.size == (128, 256)
    red, _, blue = thumbnail.getpixel((64, 20))  # type: ignore[misc]
    assert red > 200
    assert blue < 60


async def test_store_that_hangs_does_not_hold_up_a_stop(store: ThumbnailStore) -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(30)

    task = asyncio.create_task(store._run("read", hang))
    await asyncio.to_thread(hanging.wait, 30)
    store.close()
    assert not task.done()
    go_on.set()
    await task


async def test_thumbnail_is_kept_read_replaced_and_removed(
    store: ThumbnailStore, draw_photo: DrawPhoto
) -> None:
    assert await store.read("lamp") is None
    await store.keep("lamp", draw_photo(1))
    first = await store.read("lamp")
    assert first == render(draw_photo(1))
    await store.keep("lamp", draw_photo(2))
    assert await store.read("lamp") == render(draw_photo(2)) != first
    await store.remove(["lamp", "never there"])
    assert await store.read("lamp") is None


@pytest.mark.parametrize("item_id", ["../../etc/passwd", "/etc/passwd", "a/b", "x" * 128, "é\0"])
async def test_no_id_leads_out_of_the_store(
    store: ThumbnailStore, tmp_path: Path, draw_photo: DrawPhoto, item_id: str
) -> None:
    await store.keep(item_id, draw_photo(1))
    (file,) = files_below(tmp_path)
    assert file.parent.parent == tmp_path / "thumbnails"
    assert file.suffix == ".webp"
    assert await store.read(item_id) == file.read_bytes()


async def test_nothing_is_left_of_a_write_that_failed(
    store: ThumbnailStore,
    tmp_path: Path,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store.keep("lamp", draw_photo(1))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._files, "mv", fail)
    with pytest.raises(ThumbnailError, match=r"could not be kept: .*No space left"):
        await store.keep("lamp", draw_photo(2))
    assert await store.read("lamp") == render(draw_photo(1))
    assert len(files_below(tmp_path)) == 1


async def test_photos_at_the_same_time_are_all_kept(
    store: ThumbnailStore, draw_photo: DrawPhoto
) -> None:
    await asyncio.gather(*(store.keep(f"photo-{n % 5}", draw_photo(n)) for n in range(20)))
    for n in range(5):
        data = await store.read(f"photo-{n}")
        assert data in {render(draw_photo(seed)) for seed in range(n, 20, 5)}


async def test_object_store_gets_whole_objects(draw_photo: DrawPhoto) -> None:
    store = ThumbnailStore("memory://bucket/prefix")
    store.open()
    await store.keep("lamp", draw_photo(1))
    assert await store.read("lamp") == render(draw_photo(1))
    kept = fsspec.filesystem("memory").find("/bucket")
    assert [path.startswith("/bucket/prefix/") for path in kept] == [True]
    await store.remove(["lamp"])
    assert await store.read("lamp") is None
    store.close()


def test_store_that_cannot_be_opened_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in ("nonsense://x", str(tmp_path / "file" / "below")):
        with pytest.raises(StartupError, match="LOOKALIKE_GATEWAY_THUMBNAILS"):
            ThumbnailStore(url).open()
