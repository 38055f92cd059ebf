"""Kubernetes: overlays build, fit the API's schemas, and agree with the services' settings."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from embedder_service.config import EmbedderSettings
from gateway.config import PREFIX as GATEWAY_PREFIX
from gateway.config import GatewaySettings
from index_service.config import PREFIX as INDEX_PREFIX
from index_service.config import IndexSettings
from lookalike import __version__
from lookalike.embedder.v1 import embedder_pb2
from lookalike.gateway.v1 import gateway_pb2
from lookalike.index.v1 import index_pb2
from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.settings import load
from tests.deploy.manifests import (
    INSTALLATIONS,
    OVERLAYS,
    ROOT,
    SERVICES,
    Object,
    containers,
    environment,
    needs_kubectl,
    objects,
    of_kind,
    pods,
    service_container,
)

pytestmark = needs_kubectl

# The oldest and the newest that are promised: autoscaling/v2 and probes by gRPC are in all of them.
VERSIONS = ("1.27", "1.32", "1.37")
# What others define has no schema here; it is checked by hand below.
FOREIGN = {"ServiceMonitor", "Certificate", "Issuer"}

SETTINGS: dict[str, tuple[type[ServerSettings], str]] = {
    "embedder": (EmbedderSettings, EMBEDDER_PREFIX),
    "index": (IndexSettings, INDEX_PREFIX),
    "gateway": (GatewaySettings, GATEWAY_PREFIX),
}
NAMES = {
    "embedder": embedder_pb2.DESCRIPTOR.services_by_name["EmbedderService"].full_name,
    "index": index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name,
    "gateway": gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name,
}

each_installation = pytest.mark.parametrize("overlay", INSTALLATIONS)
each_service = pytest.mark.parametrize("name", SERVICES)


def settings(overlay: str, name: str) -> Any:
    """A service's settings, as it would read them in its pod; a misspelt one fails."""
    return load(*SETTINGS[name], environment(service_container(overlay, name)))


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


def amount(text: str) -> float:
    """A quantity such as 512Mi, in bytes."""
    number, unit = re.fullmatch(r"(\d+)([KMG]i)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


@each_installation
def test_gateways_call_the_services_by_their_names(overlay: str) -> None:
    read = settings(overlay, "gateway")
    named = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "Service")}
    for target in (read.embedder, read.index):
        scheme, _, address = target.partition(":///")
        name, port = address.split(":")
        assert scheme == "dns"
        assert named[name]["clusterIP"] == "None", "a name for all pods, or one of them gets all"
        assert int(port) in {each["port"] for each in named[name]["ports"]}
    assert 0 < settings(overlay, "embedder").max_connection_age_s <= 60, "or new pods stay idle"


def allowed(overlay: str, app: str, port: int) -> list[Object]:
    """Who may reach a port of the pods of a service; an empty entry is everybody."""
    sources: list[Object] = []
    for policy in of_kind(overlay, "NetworkPolicy"):
        chosen = policy["spec"]["podSelector"].get("matchLabels", {})
        if chosen in ({}, {"app.kubernetes.io/name": app}):
            for rule in policy["spec"].get("ingress", []):
                if port in {each["port"] for each in rule.get("ports", [])}:
                    sources += rule.get("from", [{}])
    return sources


@each_installation
def test_nothing_is_let_in_or_out_but_what_is_listed(overlay: str) -> None:
    (deny,) = (
        policy["spec"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if policy["metadata"]["name"] == "default-deny"
    )
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    admin = {"namespaceSelector": {"matchLabels": {"lookalike/admin": "true"}}}
    snapshots = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "snapshots"}}}
    monitoring = {"namespaceSelector": {"matchLabels": {"lookalike/monitoring": "true"}}}
    gateways = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    bulk = {"namespaceSelector": {"matchLabels": {"lookalike/bulk": "true"}}}
    for name in SERVICES:
        read = settings(overlay, name)
        assert allowed(overlay, name, read.metrics_port) == [monitoring]
        assert allowed(overlay, name, read.health_port) == []
        if name == "gateway":
            assert allowed(overlay, name, read.port) == [{}]
        else:
            assert allowed(overlay, name, read.port) == [gateways, bulk]
            expected = [admin, snapshots] if name == "index" else [admin]
            assert allowed(overlay, name, read.admin_port) == expected


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


@pytest.mark.parametrize("overlay", ["production", "eks"])
def test_prometheus_finds_every_service_and_calls_its_job_by_its_name(overlay: str) -> None:
    services = of_kind(overlay, "Service")
    for monitor in of_kind(overlay, "ServiceMonitor"):
        name, spec = monitor["metadata"]["name"], monitor["spec"]
        wanted = spec["selector"]["matchLabels"].items()
        found = [each for each in services if wanted <= each["metadata"]["labels"].items()]
        assert len(found) == 1, f"{name}: two services would be two targets for each pod"
        (endpoint,) = spec["endpoints"]
        assert endpoint["port"] in {port["name"] for port in found[0]["spec"]["ports"]}
        assert endpoint["scheme"] == "https"
        assert found[0]["metadata"]["labels"][spec["jobLabel"]] == name
    assert {each["metadata"]["name"] for each in of_kind(overlay, "ServiceMonitor")} == {*SERVICES}


def test_certificates_are_for_the_names_that_are_called() -> None:
    named = {
        each["spec"]["secretName"]: each["spec"].get("dnsNames", [])
        for each in of_kind("cert-manager", "Certificate")
    }
    for monitor in of_kind("production", "ServiceMonitor"):
        tls = monitor["spec"]["endpoints"][0]["tlsConfig"]
        assert tls["serverName"] in named[tls["ca"]["secret"]["name"]]
    gateway = settings("production", "gateway")
    for target in (gateway.embedder, gateway.index):
        host = target.removeprefix("dns:///").partition(":")[0]
        assert host in named[f"lookalike-{host}-tls"]
    for name in SERVICES:
        volumes = {volume["name"]: volume for volume in pods("production")[name]["volumes"]}
        assert volumes["tls"]["secret"]["secretName"] in named
