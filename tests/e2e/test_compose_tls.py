"""The compose stack with docker-compose.tls.yml. Run by `make e2e`: it needs Docker, and root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lookalike.client import TLS, Client
from lookalike.errors import LookalikeError
from lookalike.model.bundle import Bundle
from scripts import images
from tests.e2e.compose_stack import ROOT, SERVICES, Compose, inspect, open_to_containers, wait

SECRETS = ROOT / "var/e2e/secrets"

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("LOOKALIKE_E2E_DOCKER") != "1",
        reason="builds images and starts containers; `make e2e` runs it",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="the keys are given to the containers' user"),
    pytest.mark.timeout(1500),
]


@dataclass
class Secured:
    """The stack, and what its callers show."""

    compose: Compose
    tls: TLS
    token: str

    def client(self, *, token: str = "") -> Client:
        return Client(self.compose.gateway, tls=self.tls, token=token or self.token, retries=0)


@pytest.fixture(scope="module")
def secured(tiny_bundle: Bundle) -> Iterator[Secured]:
    for name in SERVICES:
        images.build(name, "--network", "host")
    shutil.rmtree(SECRETS, ignore_errors=True)
    subprocess.run(
        [ROOT / "deploy/compose/make-secrets", SECRETS],
        cwd=ROOT, env={**os.environ, "PYTHON": sys.executable}, check=True,
    )  # fmt: skip
    files = ("docker-compose.yml", "docker-compose.tls.yml")
    settings = {"LOOKALIKE_SECRETS": str(SECRETS)}
    bundle = open_to_containers(tiny_bundle.path)
    compose = Compose(bundle, "lookalike-e2e-tls", files, settings)
    mine = SECRETS / "client"
    tls = TLS(mine / "roots.pem", mine / "client.pem", mine / "client.key")
    secured = Secured(compose, tls, Path(mine / "token").read_text().strip())
    try:
        compose("up", "--detach", "--no-build")
        yield secured
    finally:
        compose("down", "--volumes")
        shutil.rmtree(SECRETS)


def test_a_caller_with_certificate_and_token_is_answered_by_the_whole_stack(
    secured: Secured, draw_photo: Callable[[int], bytes]
) -> None:
    def is_ready() -> bool:
        with secured.client() as client:
            try:
                status = client.status()
            except LookalikeError:
                return False
        return status.embedder.ready and status.index.ready

    wait(is_ready)
    with secured.client() as client:
        assert client.classify(draw_photo(1)).scores


def test_a_token_that_is_not_in_the_file_is_refused(secured: Secured) -> None:
    with (
        secured.client(token="one-that-nobody-gave") as client,
        pytest.raises(LookalikeError) as refused,
    ):
        client.status()
    assert refused.value.code.name == "UNAUTHENTICATED"


@pytest.mark.parametrize("service", SERVICES)
def test_health_checks_know_neither_tls_nor_tokens(secured: Secured, service: str) -> None:
    (container,) = secured.compose.containers(service)
    wait(lambda: bool(inspect(container)["State"]["Health"]["Status"] == "healthy"))
    secured.compose.wait_until_ready(service, container)
