"""A gateway and embedders that answer by rule, on loopback ports, for tests of the client."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import LookalikeError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1 import gateway_pb2_grpc
from lookalike.status import to_status

EMBEDDER_NAME = "lookalike.embedder.v1.EmbedderService"
SPACE = "space-1"


def vector_of(image: bytes) -> list[float]:
    """The vector that every fake embedder gives a photo."""
    return [float(len(image)), float(sum(image) % 1000)]


class FakeEmbedder(embedder_pb2_grpc.EmbedderServiceServicer):
    """Answers at once, unless told otherwise.

    Attributes:
        refuse: The error of each photo or title that has one.
        gate: Streams answer nothing while it is not set.
        crash_after: How many photos a stream answers before its server is gone.
        crash: What makes the server be gone.
        text: What the model says of the words that it reads; None if it reads none.
        words: Requests for words that arrived, in their order.
        received: Photos that arrived on streams, in their order.
        streams: How many streams there were.
        metadata: Of each call but EmbedImage, in their order.
    """

    def __init__(self, space: str = SPACE, max_in_flight: int = 8) -> None:
        self.space = space
        self.limits = embedder_pb2.Limits(
            max_image_bytes=1 << 20,
            max_message_bytes=1 << 21,
            max_stream_in_flight=max_in_flight,
        )
        self.refuse: dict[bytes, LookalikeError] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.crash_after: int | None = None
        self.crash: Callable[[], None] = lambda: None
        self.text: embedder_pb2.TextTower | None = None
        self.words: list[Any] = []
        self.received: list[bytes] = []
        self.streams = 0
        self.metadata: list[dict[str, Any]] = []

    def GetModel(self, request: Any, context: Any) -> embedder_pb2.GetModelResponse:
        self.metadata.append(dict(context.invocation_metadata()))
        outputs = [embedder_pb2.ModelOutput(name="category", dimension=2, kind="logits")]
        return embedder_pb2.GetModelResponse(
            model=embedder_pb2.Model(
                name="fake",
                version="7",
                embedding_space=self.space,
                labels=["a", "b"],
                outputs=outputs,
                limits=self.limits,
                engine="torch",
                precision="fp32",
                temperature=1.5,
                text=self.text,
            )
        )

    def EmbedImage(self, request: Any, context: Any) -> embedder_pb2.EmbedImageResponse:
        if error := self.refuse.get(request.image):
            context.abort_with_status(rpc_status.to_status(to_status(error)))
        return self._response(request)

    def EmbedText(self, request: Any, context: Any) -> embedder_pb2.EmbedTextResponse:
        self.words.append(request)
        if error := self.refuse.get(request.title.encode()):
            context.abort_with_status(rpc_status.to_status(to_status(error)))
        read = self._embeddings(request, f"{request.title} {request.description}".encode())
        timings = embedder_pb2.Timings(decode_ns=1, queue_ns=2, inference_ns=3)
        return embedder_pb2.EmbedTextResponse(
            embeddings=read, tokens=4, truncated=True, timings=timings
        )

    def StreamEmbedImages(self, requests: Any, context: Any) -> Iterator[Any]:
        self.streams += 1
        self.metadata.append(dict(context.invocation_metadata()))
        for answered, message in enumerate(requests):
            self.received.append(message.request.image)
            while not self.gate.wait(0.01):
                if not context.is_active():
                    return
            if self.crash_after is not None and answered >= self.crash_after:
                self.crash()
                context.abort(grpc.StatusCode.UNAVAILABLE, "killed")
            reply = embedder_pb2.StreamEmbedImagesResponse(id=message.id)
            if error := self.refuse.get(message.request.image):
                reply.error.CopyFrom(to_status(error))
            else:
                reply.response.CopyFrom(self._response(message.request))
            yield reply

    def _response(self, request: Any) -> embedder_pb2.EmbedImageResponse:
        return embedder_pb2.EmbedImageResponse(
            embeddings=self._embeddings(request, request.image),
            timings=embedder_pb2.Timings(decode_ns=1, queue_ns=2, inference_ns=3),
        )

    def _embeddings(self, request: Any, content: bytes) -> list[embedder_pb2.Embedding]:
        return [
            embedder_pb2.Embedding(
                output=name, values=vector_of(content), embedding_space=self.space
            )
            for name in request.outputs or ["category"]
        ]


class FakeGateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Answers each method with the message prepared for it, and keeps the requests.

    Attributes:
        answers: Message, or error, by method; a list is used up from its start.
        requests: What came, by method.
        metadata: Of each call, in their order.
        remaining_s: What each call's deadline left, in their order.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"GetStatus": pb.GetStatusResponse()}
        self.requests: dict[str, list[Any]] = {}
        self.metadata: list[dict[str, Any]] = []
        self.remaining_s: list[float | None] = []
        self.gate = threading.Event()
        self.gate.set()

    def _answer(self, method: str, request: Any, context: Any) -> Any:
        self.requests.setdefault(method, []).append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining_s.append(context.time_remaining())
        self.gate.wait(30)
        answer = self.answers[method]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, LookalikeError):
            context.abort_with_status(rpc_status.to_status(to_status(answer)))
        return answer

    def ClassifyImage(self, request: Any, context: Any) -> Any:
        return self._answer("ClassifyImage", request, context)

    def ClassifyListing(self, request: Any, context: Any) -> Any:
        return self._answer("ClassifyListing", request, context)

    def FindSimilarListings(self, request: Any, context: Any) -> Any:
        return self._answer("FindSimilarListings", request, context)

    def IngestListing(self, request: Any, context: Any) -> Any:
        return self._answer("IngestListing", request, context)

    def DeleteListing(self, request: Any, context: Any) -> Any:
        return self._answer("DeleteListing", request, context)

    def GetListing(self, request: Any, context: Any) -> Any:
        return self._answer("GetListing", request, context)

    def ListListings(self, request: Any, context: Any) -> Any:
        return self._answer("ListListings", request, context)

    def GetStatus(self, request: Any, context: Any) -> Any:
        return self._answer("GetStatus", request, context)

    def StreamIngestListings(self, requests: Any, context: Any) -> Iterator[Any]:
        """Answers with what is prepared under the item's id, else with a sequence number."""
        for number, message in enumerate(requests):
            self.requests.setdefault("StreamIngestListings", []).append(message.request)
            answer = self.answers.get(message.request.photo.item_id)
            if isinstance(answer, list):
                answer = answer.pop(0) if answer else None
            if isinstance(answer, LookalikeError):
                yield pb.StreamIngestListingsResponse(id=message.id, error=to_status(answer))
            else:
                response = pb.IngestListingResponse(seq=number + 1)
                yield pb.StreamIngestListingsResponse(id=message.id, response=response)


class Served:
    """A server on a loopback port."""

    def __init__(
        self,
        servicer: Any,
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.servicer = servicer
        self.health = health.HealthServicer()
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(32), options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if isinstance(servicer, FakeEmbedder):
            embedder_pb2_grpc.add_EmbedderServiceServicer_to_server(servicer, self._server)
            servicer.crash = self.kill
        else:
            gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, self._server)
        self.set_ready(True)
        address = f"127.0.0.1:{port}"
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def set_ready(self, ready: bool) -> None:
        """Switches what health says."""
        serving = health_pb2.HealthCheckResponse.ServingStatus
        status = serving.SERVING if ready else serving.NOT_SERVING
        self.health.set(EMBEDDER_NAME, status)

    def kill(self) -> None:
        """Ends all calls at once and closes the port."""
        self._server.stop(None)

    def stop(self) -> None:
        """Ends it, and waits for that."""
        self.servicer.gate.set()
        self._server.stop(None).wait(10)


@contextmanager
def serving(servicers: Sequence[Any]) -> Iterator[list[Served]]:
    """Serves all of them for the time of the block."""
    served = [Served(servicer) for servicer in servicers]
    try:
        yield served
    finally:
        for server in served:
            server.stop()


def photos_until_all_have_some(embedders: Sequence[FakeEmbedder]) -> Iterator[tuple[int, bytes]]:
    """Yields 100 photos, and more until each embedder has received one: some connect late."""
    for number in itertools.count():
        if number >= 100 and all(embedder.received for embedder in embedders):
            return
        yield number, b"%d" % number
