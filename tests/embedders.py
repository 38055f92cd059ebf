"""What tests of an embedder's process share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.serving.local_stack import ServiceProcess


def vector(stub: EmbedderServiceStub, image: bytes, *outputs: str) -> list[float]:
    response = stub.EmbedImage(pb.EmbedImageRequest(image=image, outputs=outputs))
    return list(response.embeddings[0].values)


def item(key: str, image: bytes, *outputs: str) -> pb.StreamEmbedImagesRequest:
    request = pb.EmbedImageRequest(image=image, outputs=outputs)
    return pb.StreamEmbedImagesRequest(id=key, request=request)


def log_lines(service: ServiceProcess) -> Iterator[dict[str, Any]]:
    for line in service.log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
