"""Starts the embedder: settings → bundle → engine → servers. `python -m embedder_service`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from embedder_service.admission import Admission
from embedder_service.batching import sizes_up_to
from embedder_service.config import PREFIX, EmbedderSettings
from embedder_service.decoding import PhotoDecoder
from embedder_service.embedding import PhotoEmbedder
from embedder_service.hosting import ModelHost
from embedder_service.model import Model
from embedder_service.open_inference import SCOPES as OPEN_INFERENCE_SCOPES
from embedder_service.open_inference import SERVICE_NAME as OPEN_INFERENCE
from embedder_service.open_inference import OpenInferenceServicer
from embedder_service.servicer import (
    ADMIN_SCOPES,
    ADMIN_SERVICE_NAME,
    SCOPES,
    SERVICE_NAME,
    EmbedderAdminServicer,
    EmbedderServicer,
)
from embedder_service.telemetry import PHOTO, TEXT, EmbedderTelemetry
from embedder_service.watchdog import STUCK_DECODER_S, watch
from embedder_service.words import WordsEmbedder
from lookalike.catalogue.images import ImageLimits
from lookalike.cpu import available_cores
from lookalike.embedder.v1.admin_pb2_grpc import add_EmbedderAdminServiceServicer_to_server
from lookalike.embedder.v1.embedder_pb2_grpc import add_EmbedderServiceServicer_to_server
from lookalike.errors import StartupError
from lookalike.inference.open_inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from lookalike.model.bundle import Bundle, BundleError
from lookalike.model.engines import PrecisionError, load_engine
from lookalike.model.engines.openvino_engine import load_text_engine
from lookalike.model.text import TextTokenizer
from lookalike.model.text_tower import TOKENIZER
from lookalike.serving.server import GrpcServer, run
from lookalike.serving.settings import cut

logger = logging.getLogger(__name__)


async def serve(settings: EmbedderSettings) -> None:
    """Serves until SIGTERM."""
    if settings.compile_cache:
        _make(settings.compile_cache)
    server = GrpcServer(settings, PREFIX)
    server.bind()
    admin = GrpcServer(settings.admin(), f"{PREFIX}ADMIN_", beside=server)
    admin.bind()
    telemetry = EmbedderTelemetry(server.telemetry)
    cores = available_cores()
    limits = ImageLimits(
        settings.max_image_bytes, settings.max_image_pixels, settings="LOOKALIKE_EMBEDDER"
    )
    decoder = PhotoDecoder(settings.decode_threads or cores, limits)

    threads, cache = settings.inference_threads or cores, settings.compile_cache

    def build(bundle: Bundle) -> Model:
        photos = PhotoEmbedder(
            bundle.manifest,
            load_engine(
                bundle,
                name=settings.engine,
                precision=settings.precision,
                threads=threads,
                cache=cache,
            ),
            decoder=decoder,
            decode_ahead=(settings.decode_threads or cores) + 2 * settings.max_batch,
            batch_sizes=sizes_up_to(settings.max_batch),
            max_delay_s=settings.max_batch_delay_ms / 1e3,
            observer=telemetry.batches(PHOTO),
        )
        if bundle.manifest.text is None:
            return Model(photos)
        # Whatever runs photos: OpenVINO is a dependency anyway, and words are quick on a CPU.
        words = WordsEmbedder(
            bundle.manifest,
            load_text_engine(bundle, precision=settings.precision, threads=threads, cache=cache),
            TextTokenizer(bundle.file(TOKENIZER), bundle.manifest.text.max_tokens),
            batch_sizes=sizes_up_to(settings.max_batch),
            observer=telemetry.batches(TEXT),
        )
        return Model(photos, words)

    photos, texts = (
        Admission(max_photos=settings.max_queue, max_bytes=settings.max_queue_bytes, kind=kind)
        for kind in ("photos", "texts")
    )
    host = ModelHost(settings.bundle, build, photos, texts, telemetry.embedded)
    async with server.probed(SERVICE_NAME, OPEN_INFERENCE):
        try:
            await host.__aenter__()
        except BundleError as error:
            raise StartupError(f"{error} ({PREFIX}BUNDLE)") from None
        except PrecisionError as error:
            raise StartupError(f"{error} ({PREFIX}PRECISION)") from None
        except ImportError as error:
            raise StartupError(
                f"the engine {settings.engine} is not installed: {error} ({PREFIX}ENGINE)"
            ) from None
    logger.info(
        "model loaded",
        extra={
            "model": host.manifest.name,
            "version": host.manifest.version,
            "embedding_space": host.manifest.embedding_space,
            "engine": host.model.photos.engine.name,
            "precision": host.model.photos.engine.precision,
            "reads_words": host.model.words is not None,
        },
    )
    telemetry.watch(host, {PHOTO: photos, TEXT: texts})
    server.add(
        add_EmbedderServiceServicer_to_server,
        EmbedderServicer(host, settings),
        SERVICE_NAME,
        SCOPES,
    )
    server.add(
        add_GRPCInferenceServiceServicer_to_server,
        OpenInferenceServicer(host, settings),
        OPEN_INFERENCE,
        OPEN_INFERENCE_SCOPES,
    )
    admin.add(
        add_EmbedderAdminServiceServicer_to_server,
        EmbedderAdminServicer(host, settings),
        ADMIN_SERVICE_NAME,
        ADMIN_SCOPES,
    )
    await server.start()
    running = {
        "engine": (lambda: host.model.running_s, settings.stuck_after_s),
        "decoder": (lambda: decoder.running_s, STUCK_DECODER_S),
    }
    background = [asyncio.create_task(watch(running, server))]
    if settings.bundle_poll_s:
        background.append(asyncio.create_task(host.watch(settings.bundle_poll_s)))
    await server.set_ready(True)
    try:
        await server.wait_for_stop()
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await host.__aexit__()
        decoder.close()


def _make(cache: str) -> None:
    # OpenVINO would say so with a traceback, or where it is a file not at all.
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"{PREFIX}COMPILE_CACHE is '{cut(cache)}', which cannot be made a directory: "
            f"{error.strerror}"
        ) from None


if __name__ == "__main__":
    run("embedder", EmbedderSettings, PREFIX, serve)
