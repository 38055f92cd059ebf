"""The Kubernetes objects of the overlays, as kubectl builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from embedder_service.config import EmbedderSettings
from gateway.config import PREFIX as GATEWAY_PREFIX
from gateway.config import GatewaySettings
from index_service.config import PREFIX as INDEX_PREFIX
from index_service.config import IndexSettings
from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.settings import load

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = sorted(folder.name for folder in (FOLDER / "overlays").iterdir())
# Those that are services; the other one is certificates alone.
INSTALLATIONS = ("minimal", "production", "eks")
SERVICES = ("embedder", "index", "gateway")

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not there: install kubernetes-client"
)

each_installation = pytest.mark.parametrize("overlay", INSTALLATIONS)
each_service = pytest.mark.parametrize("name", SERVICES)

Object = dict[str, Any]

SETTINGS: dict[str, tuple[type[ServerSettings], str]] = {
    "embedder": (EmbedderSettings, EMBEDDER_PREFIX),
    "index": (IndexSettings, INDEX_PREFIX),
    "gateway": (GatewaySettings, GATEWAY_PREFIX),
}


@cache
def objects(overlay: str) -> list[Object]:
    """What an overlay applies."""
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    """Those objects of an overlay that are of one of these kinds."""
    return [each for each in objects(overlay) if each["kind"] in kinds]


def pods(overlay: str) -> dict[str, Object]:
    """The specification of each kind of pod, by the name of what starts it."""
    found = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in of_kind(overlay, "Deployment", "StatefulSet")
    }
    for job in of_kind(overlay, "CronJob"):
        template = job["spec"]["jobTemplate"]["spec"]["template"]
        found[job["metadata"]["name"]] = template["spec"]
    return found


def containers(overlay: str) -> Iterator[tuple[str, Object]]:
    """Each container with the name of what starts it."""
    for name, pod in pods(overlay).items():
        yield from ((name, container) for container in pod["containers"])


def environment(container: Object) -> dict[str, str]:
    """A container's variables."""
    return {each["name"]: each["value"] for each in container["env"]}


def service_container(overlay: str, name: str) -> Object:
    """The one container of a service."""
    (container,) = pods(overlay)[name]["containers"]
    found: Object = container
    return found


def settings(overlay: str, name: str) -> Any:
    """A service's settings, as it would read them in its pod; a misspelt one fails."""
    return load(*SETTINGS[name], environment(service_container(overlay, name)))
