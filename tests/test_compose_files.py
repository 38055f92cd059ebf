"""The compose files and what they mount, held to the services' settings without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedder_service.config import EmbedderSettings
from gateway.config import GatewaySettings
from index_service.config import IndexSettings
from lookalike.serving.settings import variables
from scripts.images import ARGUMENTS

ROOT = Path(__file__).resolve().parent.parent
FILES = ("docker-compose.yml", "docker-compose.tls.yml")
SETTINGS = {
    "EMBEDDER": EmbedderSettings,
    "INDEX": IndexSettings,
    "GATEWAY": GatewaySettings,
}
SCRAPED = ("prometheus.yml", "prometheus.tls.yml")


def services(file: str) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = content["services"]
    return found


def defaults(service: str) -> dict[str, str]:
    prefix = f"LOOKALIKE_{service}_"
    return {name: default for name, default, _ in variables(SETTINGS[service], prefix)}


@pytest.mark.parametrize("file", FILES)
def test_every_variable_of_a_service_is_a_setting_of_it(file: str) -> None:
    known = {name for service in SETTINGS for name in defaults(service)}
    used = {
        name
        for service in services(file).values()
        for name in service.get("environment", {})
        if name.startswith("LOOKALIKE_")
    }
    assert used <= known


@pytest.mark.parametrize("file", FILES)
def test_what_these_files_are_told_may_be_exported_where_a_service_starts(file: str) -> None:
    told = set(re.findall(r"\$\{(\w+)", (ROOT / file).read_text(encoding="utf-8")))
    known = {name for service in SETTINGS for name in defaults(service)}
    prefixes = tuple(f"LOOKALIKE_{service}_" for service in SETTINGS)
    assert {name for name in told if name.startswith(prefixes)} <= known


def test_images_set_nothing_that_is_no_setting() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    known = {name for service in SETTINGS for name in defaults(service)}
    assert set(re.findall(r"\b(LOOKALIKE_\w+)=", text)) <= known


@pytest.mark.parametrize("file", FILES)
def test_ports_are_published_on_loopback_alone(file: str) -> None:
    published = [port for each in services(file).values() for port in each.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_foreign_images_are_pinned_and_ours_are_built_here() -> None:
    for service in services("docker-compose.yml").values():
        name, _, tag = service["image"].partition(":")
        if name.startswith("lookalike-"):
            assert name.removeprefix("lookalike-") in ARGUMENTS
            assert not tag
        else:
            assert re.search(r"\d", tag), f"{service['image']} has no version"


def test_what_is_ours_is_hardened() -> None:
    for name, service in services("docker-compose.yml").items():
        if service["image"].startswith("lookalike-"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_an_index_may_take_minutes_to_read_its_store() -> None:
    """The gateway's container waits until it is healthy, and gives up when it is unhealthy."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    _, _, index = text.partition("FROM runtime AS index\n")
    found = re.search(r"HEALTHCHECK .*--start-period=(\d+)m", index.partition("\nFROM ")[0])
    assert found
    # 100 million items, at the 4.2 s a million of benchmarks/RESULTS.md
    assert int(found[1]) * 60 >= 100 * 4.2
    waits_for = services("docker-compose.yml")["gateway"]["depends_on"]
    assert waits_for["index"] == {"condition": "service_healthy"}


def of_target(target: str) -> list[str]:
    """The services of the stack that are built as one of ours."""
    return [
        name
        for name, service in services("docker-compose.yml").items()
        if service.get("build", {}).get("target") == target
    ]


@pytest.mark.parametrize("file", SCRAPED)
def test_prometheus_asks_each_service_on_its_metrics_port(file: str) -> None:
    content = yaml.safe_load((ROOT / "deploy/compose" / file).read_text(encoding="utf-8"))
    for job in content["scrape_configs"]:
        upper = job["job_name"].upper()
        asked = [name for found in job["dns_sd_configs"] for name in found["names"]]
        assert asked == of_target(job["job_name"])
        for found in job["dns_sd_configs"]:
            assert str(found["port"]) == defaults(upper)[f"LOOKALIKE_{upper}_METRICS_PORT"]
        if "tls" in file:
            assert job["tls_config"]["server_name"] == job["job_name"]


@pytest.mark.parametrize("service", SETTINGS)
def test_every_service_of_a_kind_has_traces_and_tls(service: str) -> None:
    secured = services("docker-compose.tls.yml")
    for name in of_target(service.lower()):
        plain = services("docker-compose.yml")[name]["environment"]
        assert f"LOOKALIKE_{service}_TRACES_ENDPOINT" in plain, name
        # what the stack says of plaintext is taken back, and every port has its certificate
        assert secured[name]["environment"][f"LOOKALIKE_{service}_INSECURE"] == "false", name
        assert f"LOOKALIKE_{service}_TLS_CERTIFICATE" in secured[name]["environment"], name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (Debian: prometheus)")
@pytest.mark.parametrize("file", SCRAPED)
def test_prometheus_itself_takes_its_configuration(file: str) -> None:
    # without --syntax-only it would look for certificates, which are made where they are used
    command = ["promtool", "check", "config", "--syntax-only", str(ROOT / "deploy/compose" / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
