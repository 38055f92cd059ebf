"""What several of the integration tests need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedder_service.bundle import Bundle
from lookalike.local_stack import ServiceProcess


@pytest.fixture(scope="session")
def embedder(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """An embedder of the tiny bundle in fp32; nobody changes it."""
    settings = {"BUNDLE": tiny_bundle.path, "PRECISION": "fp32", "PORT": 0, "ADMIN_PORT": 0}
    environment = {f"LOOKALIKE_EMBEDDER_{name}": str(value) for name, value in settings.items()}
    log = tmp_path_factory.mktemp("embedder") / "embedder_service.log"
    with ServiceProcess("embedder_service", environment, log) as service:
        yield service
