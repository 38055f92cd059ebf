"""Photos that nobody should send: each is refused with its reason, and none hurts another."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import ImageTooLargeError, InvalidImageError
from lookalike.serving.local_stack import ServiceProcess
from lookalike.status import from_rpc_error, from_status
from tests.examples import examples

DrawPhoto = Callable[..., bytes]

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MEMORY_MB = 900


@pytest.fixture(scope="module")
def stub(embedder: ServiceProcess) -> Iterator[EmbedderServiceStub]:
    with grpc.insecure_channel(embedder.address) as channel:
        yield EmbedderServiceStub(channel)


def encode(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, body) for name, body in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def gif_header(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<2H3B", width, height, 0, 0, 0)
    return screen + b"," + struct.pack("<4HB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0;"


BAD = {
    "empty": (b"", InvalidImageError),
    "text": (b"a lamp, as good as new", InvalidImageError),
    "html": (b"<!doctype html><title>404</title>", InvalidImageError),
    "zeros": (bytes(10_000), InvalidImageError),
    "png 65535²": (png_header(65535, 65535), ImageTooLargeError),
    "gif 65535²": (gif_header(65535, 65535), ImageTooLargeError),
    "bomb": (encode(Image.new("1", (12_000, 12_000)), "PNG"), ImageTooLargeError),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_with_its_reason(stub: EmbedderServiceStub, name: str) -> None:
    image, reason = BAD[name]
    with pytest.raises(grpc.RpcError) as caught:
        stub.EmbedImage(pb.EmbedImageRequest(image=image))
    error = from_rpc_error(caught.value)
    assert (type(error), error.field) == (reason, "image")


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (2, 2)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_odd_sizes_are_embedded(
    stub: EmbedderServiceStub, size: tuple[int, int], kind: str
) -> None:
    image = encode(Image.new("RGB", size, "red"), kind)
    assert stub.EmbedImage(pb.EmbedImageRequest(image=image)).embeddings


def test_none_hurts_its_neighbours_in_the_batch(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    requests = []
    for seed, (image, _) in enumerate(BAD.values()):
        requests += [
            pb.EmbedImageRequest(image=image),
            pb.EmbedImageRequest(image=draw_photo(seed)),
        ]
    results = stub.BatchEmbedImages(pb.BatchEmbedImagesRequest(requests=requests)).results
    for number, (_, reason) in enumerate(BAD.values()):
        assert type(from_status(results[2 * number].error)) is reason
        assert results[2 * number + 1].WhichOneof("result") == "response"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_any_place_it_is_embedded_or_refused(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto, kind: str
) -> None:
    whole = draw_photo(1, (96, 64), kind)
    ends = range(0, len(whole), max(1, len(whole) // 60))
    requests = [pb.EmbedImageRequest(image=whole[:end]) for end in ends]
    results = stub.BatchEmbedImages(pb.BatchEmbedImagesRequest(requests=requests)).results
    refused = [from_status(r.error) for r in results if r.WhichOneof("result") == "error"]
    assert refused, "the first has no bytes"
    assert {type(error) for error in refused} == {InvalidImageError}


def test_client_that_stops_reading_its_stream_holds_up_nobody(
    embedder: ServiceProcess, stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    photo, sent = draw_photo(1), 0
    over = threading.Event()

    def requests() -> Iterator[pb.StreamEmbedImagesRequest]:
        nonlocal sent
        while not over.is_set():
            sent += 1
            yield pb.StreamEmbedImagesRequest(
                id=str(sent), request=pb.EmbedImageRequest(image=photo, outputs=["style"] * 16)
            )

    with grpc.insecure_channel(embedder.address) as channel:
        answers = EmbedderServiceStub(channel).StreamEmbedImages(requests())
        next(answers)
        for _ in range(50):
            assert stub.EmbedImage(pb.EmbedImageRequest(image=photo), timeout=10).embeddings
        over.set()
        answers.cancel()
    assert stub.EmbedImage(pb.EmbedImageRequest(image=photo), timeout=10).embeddings


def test_clients_that_leave_at_once_leave_nothing_behind(
    stub: EmbedderServiceStub, draw_photo: DrawPhoto
) -> None:
    large = draw_photo(1, (1500, 1000))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(40):
            call = stub.EmbedImage.future(pb.EmbedImageRequest(image=large))
            pool.submit(call.cancel)
    assert stub.EmbedImage(pb.EmbedImageRequest(image=large), timeout=30).embeddings


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 9),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=12),
    cut=st.floats(0.5, 1),
)
def test_mutated_photo_is_answered_and_the_process_lives(
    embedder: ServiceProcess,
    stub: EmbedderServiceStub,
    draw_photo: DrawPhoto,
    *,
    kind: str,
    seed: int,
    edits: list[tuple[float, bytes]],
    cut: float,
) -> None:
    data = bytearray(draw_photo(seed, (96, 64), kind))
    for place, content in edits:
        start = int(place * len(data))
        data[start : start + len(content)] = content
    image = bytes(data[: max(1, int(cut * len(data)))])
    try:
        assert stub.EmbedImage(pb.EmbedImageRequest(image=image), timeout=30).embeddings
    except grpc.RpcError as failed:
        error = from_rpc_error(failed)
        assert isinstance(error, (InvalidImageError, ImageTooLargeError)), error
    pages = int(Path(f"/proc/{embedder.pid}/statm").read_text().split()[1])
    assert pages * 4096 < MEMORY_MB * 1e6
