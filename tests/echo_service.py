"""A service to see a server process with: it echoes ids, and has no model."""

from __future__ import annotations

from typing import Protocol

from lookalike.serving.local_stack import ServiceProcess

NAME = "lookalike.embedder.v1.EmbedderService"

# A service that echoes ids, is ready from the first `GetModel` on, and fails at EmbedImage.
PROGRAM = f"""
import asyncio
from lookalike.channel import open_channel as lookalike_channel
from lookalike.embedder.v1 import embedder_pb2 as pb, embedder_pb2_grpc
from lookalike.serving.access import Scope
from lookalike.serving.server import GrpcServer, run
from lookalike.serving.server_settings import ServerSettings

class Servicer(embedder_pb2_grpc.EmbedderServiceServicer):
    def __init__(self, server): self.server = server
    async def GetModel(self, request, context):
        await self.server.set_ready(True)
        return pb.GetModelResponse()
    async def EmbedImage(self, request, context):
        raise ValueError("secret")
    async def StreamEmbedImages(self, requests, context):
        async for request in requests:
            yield pb.StreamEmbedImagesResponse(id=request.id)

RPCS = ("GetModel", "EmbedImage", "BatchEmbedImages", "StreamEmbedImages", "EmbedText")
SCOPES = dict.fromkeys(RPCS, Scope.READ)

async def serve(settings):
    server = GrpcServer(settings, "ECHO_")
    server.bind()
    register = embedder_pb2_grpc.add_EmbedderServiceServicer_to_server
    server.add(register, Servicer(server), "{NAME}", SCOPES)
    await server.start()
    await server.wait_for_stop()

run("echo", ServerSettings, "ECHO_", serve)
"""


class StartEcho(Protocol):
    """Starts the service with settings, after `first`, a piece of Python."""

    def __call__(self, *, first: str = "", **settings: object) -> ServiceProcess: ...
