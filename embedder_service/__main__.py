"""Starts the embedder: settings → bundle → engine → server. `python -m embedder_service`."""

from __future__ import annotations

import logging

from embedder_service import bundle as bundles
from embedder_service.config import PREFIX, EmbedderSettings
from embedder_service.embedding import PhotoEmbedder
from embedder_service.engines import PrecisionError, load_engine
from embedder_service.preprocessing import ImageLimits
from embedder_service.servicer import SERVICE_NAME, EmbedderServicer
from lookalike.cpu import available_cores
from lookalike.embedder.v1.embedder_pb2_grpc import add_EmbedderServiceServicer_to_server
from lookalike.errors import StartupError
from lookalike.server import GrpcServer, run

logger = logging.getLogger(__name__)


async def serve(settings: EmbedderSettings) -> None:
    """Serves until SIGTERM."""
    server = GrpcServer(settings, PREFIX)
    server.bind()
    try:
        bundle = bundles.load(settings.bundle)
        engine = load_engine(
            bundle,
            name=settings.engine,
            precision=settings.precision,
            threads=settings.inference_threads or available_cores(),
        )
    except bundles.BundleError as error:
        raise StartupError(f"{error} ({PREFIX}BUNDLE)") from None
    except PrecisionError as error:
        raise StartupError(f"{error} ({PREFIX}PRECISION)") from None
    except ImportError as error:
        raise StartupError(
            f"the engine {settings.engine} is not installed: {error} ({PREFIX}ENGINE)"
        ) from None
    embedder = PhotoEmbedder(
        bundle.manifest,
        engine,
        limits=ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
        decode_threads=settings.decode_threads or available_cores(),
        max_batch=settings.max_batch,
        max_queue=settings.max_queue,
    )
    async with embedder:
        logger.info(
            "model loaded",
            extra={
                "model": bundle.manifest.name,
                "version": bundle.manifest.version,
                "embedding_space": bundle.manifest.embedding_space,
                "engine": engine.name,
                "precision": engine.precision,
            },
        )
        servicer = EmbedderServicer(embedder, engine, settings)
        server.add(add_EmbedderServiceServicer_to_server, servicer, SERVICE_NAME)
        await server.start()
        await server.set_ready(True)
        await server.wait_for_stop()


if __name__ == "__main__":
    run("embedder", EmbedderSettings, PREFIX, serve)
