"""Starts the gateway: settings → upstreams → use cases → server. `python -m gateway`."""

from __future__ import annotations

import asyncio
import logging

from gateway.classify import Classifier
from gateway.config import PREFIX, GatewaySettings
from gateway.ingest import Ingester
from gateway.search import SimilarListingFinder
from gateway.servicer import SERVICE_NAME, GatewayServicer
from gateway.upstreams import EmbedderUpstream, IndexUpstream
from lookalike.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server
from lookalike.server import GrpcServer, run

logger = logging.getLogger(__name__)


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM; ready while both upstreams are."""
    server = GrpcServer(settings, PREFIX)
    server.bind()
    embedder = EmbedderUpstream(settings.embedder, settings.max_message_bytes)
    index = IndexUpstream(settings.index, settings.collection, settings.max_message_bytes)
    upstreams = (embedder, index)
    classifier = Classifier(embedder)
    servicer = GatewayServicer(
        classifier,
        SimilarListingFinder(classifier, index),
        Ingester(classifier, index),
        settings.default_timeout_s,
    )
    server.add(add_GatewayServiceServicer_to_server, servicer, SERVICE_NAME)
    await server.start()

    async def update_readiness() -> None:
        states = {upstream.name: upstream.ready for upstream in upstreams}
        logger.info("upstreams", extra={"ready": states})
        await server.set_ready(all(states.values()))

    watchers = [asyncio.create_task(upstream.watch(update_readiness)) for upstream in upstreams]
    await server.wait_for_stop()
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    for upstream in upstreams:
        await upstream.channel.close()


if __name__ == "__main__":
    run("gateway", GatewaySettings, PREFIX, serve)
