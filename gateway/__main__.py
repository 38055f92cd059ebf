"""Starts the gateway: settings → upstreams → use cases → server. `python -m gateway`."""

from __future__ import annotations

import asyncio
import logging

from gateway.cache import VectorCache
from gateway.catalogue import Catalogue
from gateway.classify import Classifier
from gateway.config import PREFIX, GatewaySettings
from gateway.duplicates import DuplicateFinder, NearDuplicatePolicy
from gateway.embedder import EmbedderUpstream
from gateway.hedging import Hedger
from gateway.http.app import create_app
from gateway.http.serving import HttpServer
from gateway.identity import Identity
from gateway.index import IndexUpstream
from gateway.ingest import Ingester, Thumbnails
from gateway.patience import Patience
from gateway.ranking import Ranker
from gateway.reading import Reader
from gateway.search import SimilarListingFinder
from gateway.servicer import SCOPES, SERVICE_NAME, GatewayServicer
from gateway.space_guard import EmbeddingSpaceGuard
from gateway.status import StatusReporter
from gateway.telemetry import GatewayTelemetry
from gateway.thumbnails import ThumbnailStore
from gateway.use_cases import UseCases
from lookalike.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server
from lookalike.serving.server import GrpcServer, run

logger = logging.getLogger(__name__)


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM; ready while either upstream is, since each is useful alone."""
    server = GrpcServer(settings, PREFIX)
    server.bind()
    http = HttpServer(settings, server.tls) if settings.http_port >= 0 else None
    if http:
        http.bind()
    thumbnails = ThumbnailStore(settings.thumbnails) if settings.thumbnails else None
    if thumbnails:
        thumbnails.open()
    hedger = Hedger(settings.hedge_after_ms / 1e3, settings.hedge_share)
    identity = Identity(
        ca=settings.upstream_ca,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        token=settings.upstream_token,
    )
    server.telemetry.watch_renewals(*identity.renewed)
    if not settings.insecure:
        for target in (settings.embedder, settings.index):
            identity.check_secret(target)
    most = settings.max_message_bytes
    watch = server.telemetry.calls_to
    embedder = EmbedderUpstream(settings.embedder, most, hedger, identity, watch(settings.embedder))
    index = IndexUpstream(
        settings.index, settings.collection, most, identity, watch(settings.index)
    )
    upstreams = (embedder, index)
    for upstream in upstreams:
        upstream.patience = Patience(settings.restart_wait_s)
    space_guard = EmbeddingSpaceGuard(embedder, index, settings.lineage_check_s)
    vectors = VectorCache(settings.cache_bytes)
    use_cases = compose(settings, embedder, index, space_guard, vectors, thumbnails=thumbnails)
    telemetry = GatewayTelemetry(server.telemetry, vectors, hedger)
    servicer = GatewayServicer(use_cases, settings.default_timeout_s, settings.max_stream_in_flight)
    server.add(add_GatewayServiceServicer_to_server, servicer, SERVICE_NAME, SCOPES)
    if http:
        # First, so that both ports answer once the log says "serving".
        await http.start(create_app(use_cases, thumbnails, settings, server.guard, telemetry))
        server.drain_with(http.stop)
    await server.start()

    async def update_readiness() -> None:
        states = {upstream.name: upstream.ready for upstream in upstreams}
        logger.info("upstreams", extra={"ready": states})
        telemetry.ready(states)
        await server.set_ready(any(states.values()))
        space_guard.check_soon()

    watchers = [asyncio.create_task(upstream.watch(update_readiness)) for upstream in upstreams]
    watchers.append(asyncio.create_task(space_guard.watch()))

    async def reopen() -> None:
        await asyncio.gather(*(upstream.reopen() for upstream in upstreams))

    watchers.append(asyncio.create_task(identity.watch(reopen)))
    await server.wait_for_stop()
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    for upstream in upstreams:
        await upstream.channel.close()
    if thumbnails:
        thumbnails.close()


def compose(
    settings: GatewaySettings,
    embedder: EmbedderUpstream,
    index: IndexUpstream,
    space_guard: EmbeddingSpaceGuard,
    vectors: VectorCache,
    *,
    thumbnails: Thumbnails | None = None,
) -> UseCases:
    """Builds the use cases on top of the upstreams."""
    reader = Reader(embedder)
    classifier = Classifier(embedder, vectors, reader)
    ranker = Ranker(embedder, index)
    duplicates = DuplicateFinder(
        index,
        NearDuplicatePolicy(settings.near_duplicate_policy),
        settings.near_duplicate_distance,
        ranker,
        settings.near_duplicate_nearness,
    )
    return UseCases(
        classifier=classifier,
        finder=SimilarListingFinder(classifier, index, space_guard, ranker, reader),
        ingester=Ingester(classifier, index, space_guard, duplicates, thumbnails),
        catalogue=Catalogue(index, thumbnails),
        status=StatusReporter(embedder, index, space_guard, vectors, ranker),
    )


if __name__ == "__main__":
    run("gateway", GatewaySettings, PREFIX, serve)
