"""Kubernetes: overlays build, fit the API's schemas, and agree with the services' settings."""

from __future__ import annotations

import math
import re
from pathlib import Path

import kubernetes_validate
import pytest

from lookalike import __version__
from lookalike.embedder.v1 import embedder_pb2
from lookalike.gateway.v1 import gateway_pb2
from lookalike.index.v1 import index_pb2
from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    SERVICES,
    containers,
    each_installation,
    each_service,
    environment,
    needs_kubectl,
    objects,
    of_kind,
    pods,
    service_container,
    settings,
)

pytestmark = needs_kubectl

# The oldest and the newest that are promised: autoscaling/v2 and probes by gRPC are in all of them.
VERSIONS = ("1.27", "1.32", "1.37")
# What others define has no schema here; it is checked by hand below.
FOREIGN = {"ServiceMonitor", "Certificate", "Issuer"}

NAMES = {
    "embedder": embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name,
    "index": index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name,
    "gateway": gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name,
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_fit_the_schemas_of_the_api(overlay: str, version: str) -> None:
    for each in objects(overlay):
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, version, strict=True)


@each_installation
def test_every_object_is_in_the_namespace_and_named_once(overlay: str) -> None:
    seen = [(each["kind"], each["metadata"]["name"]) for each in objects(overlay)]
    assert len(seen) == len(set(seen))
    for each in objects(overlay):
        if each["kind"] not in {"Namespace", "StorageClass"}:
            assert each["metadata"]["namespace"] == "lookalike", each["metadata"]["name"]
        assert each["kind"] != "Secret", "secrets are not for repositories"


@each_installation
def test_images_are_of_this_version(overlay: str) -> None:
    for name, container in containers(overlay):
        assert container["image"].partition(":")[2] == __version__, name


@each_service
@each_installation
def test_ports_and_probes_are_those_of_the_settings(overlay: str, name: str) -> None:
    read, container = settings(overlay, name), service_container(overlay, name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expected = {"grpc": read.port, "metrics": read.metrics_port, "health": read.health_port}
    for kind in ("admin", "http"):
        if hasattr(read, f"{kind}_port"):
            expected[kind] = getattr(read, f"{kind}_port")
    assert ports == expected
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["grpc"]
        assert asked["port"] == read.health_port
        # only readiness asks for the service: liveness must not fail with an upstream or a model
        assert asked.get("service", "") == (NAMES[name] if probe == "readinessProbe" else "")
    assert read.host == "0.0.0.0"
    for service in of_kind(overlay, "Service"):
        if service["spec"]["selector"] == {"app.kubernetes.io/name": name}:
            for port in service["spec"]["ports"]:
                assert ports[port["targetPort"]] == port["port"], service["metadata"]["name"]


@each_service
@each_installation
def test_a_pod_has_time_to_stop(overlay: str, name: str) -> None:
    read, pod = settings(overlay, name), pods(overlay)[name]
    needed = read.propagation_delay_s + read.drain_timeout_s
    assert pod["terminationGracePeriodSeconds"] >= needed + 5


@each_installation
def test_the_next_pod_stops_when_clients_have_found_the_last_one(overlay: str) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        # the longest that a client waits before it connects again, lookalike/channel.py
        assert deployment["spec"]["minReadySeconds"] >= 5, deployment["metadata"]["name"]


@each_installation
def test_gateways_wait_for_the_index_to_drain_and_callers_longer(overlay: str) -> None:
    gateway, index = settings(overlay, "gateway"), settings(overlay, "index")
    stopping = index.propagation_delay_s + index.drain_timeout_s
    assert stopping <= gateway.restart_wait_s < gateway.default_timeout_s
    # those that wait are in flight where the gateway itself stops
    assert gateway.restart_wait_s < gateway.drain_timeout_s


@each_installation
def test_pods_have_no_more_rights_than_they_need(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        assert pod["automountServiceAccountToken"] is False, name
        # a Service `lookalike-index` would become variables that the index refuses as unknown
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for name, container in containers(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), name


@each_installation
def test_what_services_write_to_and_read_is_mounted(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        claims = {"data"} if name == "index" else set()
        volumes = {volume["name"] for volume in pod["volumes"]} | claims
        (container,) = pod["containers"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} == volumes, name
        for variable, value in environment(container).items():
            if value.startswith("/") and not variable.endswith("BUNDLE"):  # that is in the image
                assert any(Path(value).is_relative_to(mount) for mount in mounts), variable


@each_installation
def test_the_embedder_has_the_memory_that_its_limits_allow(overlay: str) -> None:
    limits = service_container(overlay, "embedder")["resources"]["limits"]
    read = settings(overlay, "embedder")
    model = 419e6  # benchmarks/RESULTS.md, after all kinds of photos
    # docs/embedder.md: 512 MB of costly photos for every two decoding threads
    costly = 512e6 * max(1, math.ceil(int(limits["cpu"]) / 2))
    assert amount(limits["memory"]) >= model + costly + read.max_queue_bytes


@each_installation
def test_the_gateway_has_the_memory_that_its_limits_allow(overlay: str) -> None:
    read = settings(overlay, "gateway")
    busy = 100 * 2**20  # docs/kubernetes.md
    # Of HTTP, as the setting says; of one stream, as measured for photos of 16 MiB.
    bodies = 2 * read.max_http_bodies * read.max_message_bytes
    photos = 2.5 * read.max_stream_in_flight * read.max_message_bytes
    limits = service_container(overlay, "gateway")["resources"]["limits"]
    assert amount(limits["memory"]) >= busy + read.cache_bytes + bodies + photos


def amount(text: str) -> float:
    """A quantity such as 512Mi, in bytes."""
    number, unit = re.fullmatch(r"(\d+)([KMG]i)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


@pytest.mark.parametrize("overlay", ["production", "eks"])
def test_production_has_tls_and_tokens_on_every_service(overlay: str) -> None:
    for name in SERVICES:
        read = settings(overlay, name)
        assert read.tls_certificate
        assert read.tls_key
        assert read.tokens
        assert not read.insecure
    gateway = settings(overlay, "gateway")
    assert gateway.upstream_ca
    assert gateway.upstream_token


def test_every_secret_that_is_mounted_or_read_is_explained() -> None:
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    named = {
        volume["secret"]["secretName"]
        for pod in pods("production").values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    for monitor in of_kind("production", "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            named.add(endpoint["authorization"]["credentials"]["name"])
    assert {name for name in named if not name.endswith("-tls")} <= set(
        re.findall(r"lookalike-[\w-]+", text)
    )
