"""The HTTP face of a real gateway process, in front of real services, for plain HTTP clients."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack, ServiceProcess
from tests.conftest import LABELS

DrawPhoto = Callable[..., bytes]
Reply = tuple[int, dict[str, str], Any]


def call(
    address: str,
    path: str,
    *,
    photo: bytes | None = None,
    part: str = "image",
    method: str = "",
    headers: dict[str, str] | None = None,
    **fields: object,
) -> Reply:
    """One request by urllib, its form built by hand: status, headers, JSON or bytes."""
    body, sent = None, dict(headers or {})
    if photo is not None or fields:
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        body = "".join(parts).encode()
        if photo is not None:
            head = f'Content-Disposition: form-data; name="{part}"; filename="photo.jpg"'
            body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + photo + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        sent["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    method = method or ("POST" if body is not None else "GET")
    request = urllib.request.Request(
        f"http://{address}{path}", data=body, headers=sent, method=method
    )
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error  # type: ignore[assignment]
    with response:
        data = response.read()
        got = {name.lower(): value for name, value in response.headers.items()}
        return (
            response.status,
            got,
            json.loads(data) if data and "json" in got["content-type"] else data,
        )


@pytest.fixture(scope="module")
def services(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, draw_photo: DrawPhoto
) -> Iterator[LocalStack]:
    """Services of which the gateway keeps thumbnails, with six listings ingested over HTTP."""
    folder = tmp_path_factory.mktemp("http")
    with LocalStack(
        bundle=reading_bundle.path,
        index_dir=folder / "index",
        log_dir=folder / "logs",
        thumbnails=folder / "thumbnails",
    ) as stack:
        for number in range(6):
            status, _, body = call(
                stack.http_address,
                "/v1/listings",
                photo=draw_photo(number),
                item_id=f"photo-{number}",
                product_id=f"listing-{number}",
                category="lamps" if number < 3 else "plants",
                price=number,
            )
            assert (status, body["replaced"], body["degraded"]) == (200, False, ""), body
        yield stack


@pytest.fixture
def http(services: LocalStack) -> str:
    return services.http_address


@pytest.fixture
def stub(services: LocalStack) -> Iterator[GatewayServiceStub]:
    with grpc.insecure_channel(services.address("gateway")) as channel:
        yield GatewayServiceStub(channel)


def test_answers_are_those_of_grpc(
    http: str, stub: GatewayServiceStub, draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(77)
    over_grpc = stub.FindSimilarListings(pb.FindSimilarListingsRequest(image=photo, k=4))
    _, _, body = call(http, "/v1/similar", photo=photo, k=4)
    assert [hit["item_id"] for hit in body["listings"]] == [
        hit.photo.item_id for hit in over_grpc.listings
    ]
    assert [hit["distance"] for hit in body["listings"]] == pytest.approx(
        [hit.distance for hit in over_grpc.listings]
    )
    best = over_grpc.classification.scores[0]
    assert body["classification"]["category"] == best.category
    assert body["cached"], "the same bytes came over gRPC"
    _, _, embedded = call(http, "/v1/embed", photo=photo)
    assert len(embedded["vector"]) == 13
    assert embedded["embedding_space"] == over_grpc.classification.embedding_space


def test_filters_item_and_vector(http: str, draw_photo: DrawPhoto) -> None:
    _, _, body = call(http, "/v1/similar", photo=draw_photo(1), category="plants", max_price=4)
    assert {hit["item_id"] for hit in body["listings"]} == {"photo-3", "photo-4"}
    assert body["shortfall"]
    _, _, body = call(http, "/v1/similar?item_id=photo-2&k=2", method="POST")
    assert len(body["listings"]) == 2
    assert "photo-2" not in {hit["item_id"] for hit in body["listings"]}
    _, _, embedded = call(http, "/v1/embed", photo=draw_photo(2))
    query = {"vector": embedded["vector"], "embedding_space": embedded["embedding_space"], "k": 1}
    request = urllib.request.Request(
        f"http://{http}/v1/similar",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["listings"][0]["item_id"] == "photo-2"


def test_listing_is_written_read_shown_and_deleted(http: str, draw_photo: DrawPhoto) -> None:
    fields = {"item_id": "é/1", "product_id": "brief/é", "title": "Brief"}
    assert call(http, "/v1/listings", photo=draw_photo(50), **fields)[0] == 200
    _, _, body = call(http, "/v1/listings/brief%2F%C3%A9")
    (photo,) = body["photos"]
    assert (photo["item_id"], photo["title"], photo["price"]) == ("é/1", "Brief", None)
    status, headers, thumbnail = call(http, photo["thumbnail"])
    assert (status, headers["content-type"], thumbnail[8:12]) == (200, "image/webp", b"WEBP")
    _, _, gone = call(http, "/v1/listings/brief%2F%C3%A9", method="DELETE")
    assert (gone["deleted"], gone["degraded"]) == (1, "")
    assert call(http, photo["thumbnail"])[0] == 404
    status, _, body = call(http, "/v1/listings/brief%2F%C3%A9")
    assert (status, body["reason"]) == (404, "ITEM_NOT_FOUND")


@pytest.mark.parametrize("name", ["a\nb", "a\n", "/a//b/", "%0A?#", "\0", "..."])
def test_what_can_be_written_can_be_read_and_deleted_by_its_url(
    http: str, draw_photo: DrawPhoto, name: str
) -> None:
    photo = base64.b64encode(draw_photo(51)).decode()
    sent = {"item_id": name, "product_id": name, "image": f"data:image/jpeg;base64,{photo}"}
    request = urllib.request.Request(
        f"http://{http}/v1/listings",
        data=json.dumps(sent).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
    path = quote(name, safe="")
    for face in ("listings", "items"):
        _, _, body = call(http, f"/v1/{face}/{path}")
        assert [each["item_id"] for each in body["photos"]] == [name]
        assert call(http, f"/v1/{face}/{path}", method="HEAD")[:2][0] == 200
    assert call(http, f"/v1/thumbnails/{path}")[0] == 200
    assert call(http, f"/v1/listings/{path}", method="DELETE")[2]["deleted"] == 1


def test_catalogue_comes_in_pages(http: str) -> None:
    seen: list[str] = []
    token = ""
    while True:
        _, _, page = call(http, f"/v1/listings?page_size=4&page_token={token}")
        seen += [photo["item_id"] for photo in page["photos"]]
        token = page["next_page_token"]
        if not token:
            break
    assert [item for item in seen if item.startswith("photo-")] == [f"photo-{n}" for n in range(6)]


def test_map_and_status(http: str) -> None:
    _, _, drawn = call(http, "/v1/map")
    assert {f"photo-{n}" for n in range(6)} <= {point["item_id"] for point in drawn["points"]}
    assert 0 < drawn["explained"] <= 1
    _, _, status = call(http, "/v1/status")
    assert (status["embedder"]["ready"], status["index"]["ready"]) == (True, True)
    assert (status["embedder"]["labels"], status["thumbnails"]) == (list(LABELS), True)
    assert status["embedder"]["text_encoder"] == "words"


def test_earlier_callers_are_answered(http: str, draw_photo: DrawPhoto) -> None:
    photo = draw_photo(0)
    assert call(http, "/healthcheck")[2].keys() == {"message"}
    features = call(http, "/predict/feature_embedding", photo=photo)[2]["features"]
    assert len(features) == 13
    category = call(http, "/predict/category", photo=photo, part="file")[2]
    assert LABELS[category["category_index"]] == category["category"]
    found = call(http, "/predict/similar_images", photo=photo)[2]
    assert (len(found["image_labels"]), found["image_labels"][0]) == (4, "photo-0")
    image = call(http, "/predict/image", photo=photo, part="file", num_results=3)[2]
    assert image["image_ids"] == found["image_labels"][:3]
    assert image["product_ids"][0] == "listing-0"
    assert len(call(http, "/predict/embedding", photo=photo)[2]["image_ids"]) == 5
    words = call(http, "/predict/text", text="green velvet armchair")[2]
    both = call(http, "/predict/combined", photo=photo, text="green velvet armchair")[2]
    for answer in (image, words, both):
        assert answer["Probabilities"].keys() == set(LABELS)
        assert sum(answer["Probabilities"].values()) == pytest.approx(1, abs=1e-5)
        best = max(answer["Probabilities"].values())
        assert answer["Probabilities"][answer["Category"]] == best
    assert image["Probabilities"] != both["Probabilities"] != words["Probabilities"]


def test_words_and_a_photo_lead_to_listings(http: str, draw_photo: DrawPhoto) -> None:
    photo, green = draw_photo(0), "green velvet armchair"
    alone = call(http, "/v1/similar", photo=photo, k=6)[2]["listings"]
    mixed = call(http, "/v1/similar", photo=photo, k=6, like=f"{green}^9", unlike="oak^9")[2]
    by_words = call(http, "/v1/similar", text=green, k=6)[2]
    assert (mixed["classification"], by_words["classification"] is None) == (None, False)
    orders = [[each["item_id"] for each in found] for found in (alone, mixed["listings"])]
    assert sorted(orders[0]) == sorted(orders[1])
    distances = [[each["ranked_by"] for each in found] for found in (alone, mixed["listings"])]
    assert distances[0] != distances[1]
    assert len(by_words["listings"]) == 6
    status, _, body = call(http, "/v1/similar", photo=b"dear sir", like=green)
    assert (status, body["reason"], body["field"]) == (400, "INVALID_IMAGE", "image")
    assert "part 1 of the mix" in body["detail"]


@pytest.mark.parametrize(
    ("path", "sent", "status", "reason", "field"),
    [
        ("/v1/classify", {"photo": b"no photo"}, 400, "INVALID_IMAGE", "image"),
        ("/v1/classify", {"photo": b""}, 400, "INVALID_IMAGE", "image"),
        ("/v1/classify", {"photo": b"x" * (13 << 20)}, 413, "IMAGE_TOO_LARGE", "image"),
        ("/v1/classify", {"photo": b"x" * (40 << 20)}, 413, "REQUEST_TOO_LARGE", None),
        ("/v1/similar", {"item_id": "no such"}, 404, "ITEM_NOT_FOUND", "item_id"),
        ("/v1/similar", {"item_id": "photo-1", "k": 1001}, 400, "INVALID_ARGUMENT", "k"),
        (
            "/v1/similar",
            {"item_id": "photo-1", "min_price": -1},
            400,
            "INVALID_ARGUMENT",
            "min_price",
        ),
        (
            "/v1/listings",
            {"photo": b"x", "item_id": "x" * 129, "product_id": "p"},
            400,
            "INVALID_ARGUMENT",
            "item_id",
        ),
        ("/v1/listings?page_token=none", {}, 400, "INVALID_PAGE_TOKEN", "page_token"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_input_is_a_problem(
    http: str, path: str, sent: dict[str, Any], *, status: int, reason: str, field: str | None
) -> None:
    got, headers, body = call(http, path, **sent)
    assert (got, body["reason"], body.get("field")) == (status, reason, field), body
    assert headers["content-type"] == "application/problem+json"
    assert body["detail"]


def test_too_little_time_is_a_problem(http: str, draw_photo: DrawPhoto) -> None:
    photo = draw_photo(4711, (3000, 3000))
    status, _, body = call(http, "/v1/classify", photo=photo, headers={"X-Timeout-Ms": "1"})
    assert status in {429, 504}, body


def test_request_id_is_in_the_log_and_in_the_answer(
    services: LocalStack, http: str, draw_photo: DrawPhoto
) -> None:
    mine = {"X-Request-Id": "from-afar"}
    _, headers, _ = call(http, "/v1/classify", photo=draw_photo(9), headers=mine)
    assert headers["x-request-id"] == "from-afar"
    log = next(service.log for service in services.services if service.module == "gateway")
    deadline = time.monotonic() + 10
    mine_in_log: list[dict[str, Any]] = []
    while not mine_in_log and time.monotonic() < deadline:  # it is written after the answer
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        mine_in_log = [line for line in lines if line.get("request_id") == "from-afar"]
    (line,) = mine_in_log
    assert (line["event"], line["path"], line["status"]) == ("request", "/v1/classify", 200)


def test_curl_works_as_in_the_document(http: str, tmp_path: Path, draw_photo: DrawPhoto) -> None:
    (tmp_path / "photo.jpg").write_bytes(draw_photo(3))
    curl = ["curl", "-sS", f"http://{http}/v1/classify"]
    for sent in (
        ["-F", "image=@photo.jpg"],
        ["-H", "Content-Type: image/jpeg", "--data-binary", "@photo.jpg"],
        ["-H", "Transfer-Encoding: chunked", "-F", "file=@photo.jpg"],
    ):
        answer = subprocess.run([*curl, *sent], cwd=tmp_path, check=True, capture_output=True)
        assert json.loads(answer.stdout)["category"] in LABELS


def test_every_call_of_the_document_works(http: str, tmp_path: Path, draw_photo: DrawPhoto) -> None:
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "photo.jpg").write_bytes(draw_photo(60))
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (root / "docs/http.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = "".join(blocks).replace("/tmp/thumbnail", str(tmp_path / "thumbnail"))
    script = re.sub(r"^PHOTO=.*", f"PHOTO={tmp_path}/photo.jpg", script, flags=re.MULTILINE)
    script = re.sub(r"^AT=.*", f"AT=http://{http}", script, flags=re.MULTILINE)
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    answers, rest = [], ran.stdout
    while rest:
        answer, end = json.JSONDecoder().raw_decode(rest)
        answers.append(answer)
        rest = rest[end:]
    assert len(answers) == script.count("curl") - 2  # one is a thumbnail, one is read by the next
    assert [a["reason"] for a in answers if "reason" in a] == ["INVALID_IMAGE"]
    assert (tmp_path / "thumbnail.webp").read_bytes()[8:12] == b"WEBP"


def test_port_in_use_stops_the_start_naming_the_setting(
    last_words: Callable[..., str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = last_words("gateway", http_port=taken.getsockname()[1])
    assert "LOOKALIKE_GATEWAY_HTTP_PORT" in words
    assert "Address already in use" in words


def test_unknown_kind_of_store_stops_the_start_naming_the_setting(
    last_words: Callable[..., str],
) -> None:
    words = last_words("gateway", thumbnails="nonsense://here")
    assert "LOOKALIKE_GATEWAY_THUMBNAILS" in words


def test_http_can_be_left_out(start_service: Callable[..., ServiceProcess]) -> None:
    gateway = start_service("gateway", http_port=-1)
    assert gateway.announced("serving http") == ""


def test_stop_answers_what_is_in_flight_and_takes_no_more(
    start_service: Callable[..., ServiceProcess],
    embedder: ServiceProcess,
    draw_photo: DrawPhoto,
) -> None:
    gateway = start_service("gateway", embedder=embedder.address, index="127.0.0.1:9")
    address = gateway.announced("serving http")
    assert call(address, "/healthcheck")[0] == 200
    photo = draw_photo(12, (2000, 2000))
    # A request whose body is still arriving when the stop begins.
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 30) as slow, ThreadPoolExecutor() as pool:
        head = (
            f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(photo)}\r\nExpect: 100-continue\r\n\r\n"
        )
        slow.sendall(head.encode())
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 100 "), "it is being read"
        slow.sendall(photo[:1000])
        stopped = pool.submit(gateway.stop)
        refused = threading.Event()
        deadline = time.monotonic() + 10
        while not refused.is_set() and time.monotonic() < deadline:
            try:
                socket.create_connection((host, int(port)), 1).close()
                time.sleep(0.02)
            except OSError:
                refused.set()
        assert refused.is_set()
        slow.sendall(photo[1000:])
        answer = slow.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert stopped.result() == 0
