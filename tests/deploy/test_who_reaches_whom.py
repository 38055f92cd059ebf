"""Kubernetes: names, policies, certificates and scrapes lead to the pods that are meant."""

from __future__ import annotations

import pytest

from tests.deploy.manifests import (
    SERVICES,
    Object,
    each_installation,
    needs_kubectl,
    of_kind,
    pods,
    settings,
)

pytestmark = needs_kubectl


@each_installation
def test_gateways_call_the_services_by_their_names(overlay: str) -> None:
    read = settings(overlay, "gateway")
    named = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "Service")}
    for target in (read.embedder, read.index):
        scheme, _, address = target.partition(":///")
        name, port = address.split(":")
        assert scheme == "dns"
        assert int(port) in {each["port"] for each in named[name]["ports"]}
    assert named["embedder"]["clusterIP"] == "None", "a name for all pods, or one gets all calls"
    assert 0 < settings(overlay, "embedder").max_connection_age_s <= 60, "or new pods stay idle"


@each_installation
def test_a_name_that_gateways_call_never_leads_nowhere(overlay: str) -> None:
    """Or gRPC would ask for it again only after a pause that grows to two minutes."""
    named = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "Service")}
    read = settings(overlay, "gateway")
    for target in (read.embedder, read.index):
        service = named[target.removeprefix("dns:///").partition(":")[0]]
        assert service.get("clusterIP") != "None" or service["publishNotReadyAddresses"]
    # its callers ask for no health, so that readiness has to keep calls away
    assert not named["gateway-pods"].get("publishNotReadyAddresses")


@each_installation
def test_the_stateful_set_has_a_headless_service_of_its_pods(overlay: str) -> None:
    named = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "Service")}
    (index,) = (each["spec"] for each in of_kind(overlay, "StatefulSet"))
    governing = named[index["serviceName"]]
    assert governing["clusterIP"] == "None"
    assert governing["selector"].items() <= index["template"]["metadata"]["labels"].items()


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
    for service in of_kind("production", "Service"):
        secret = f"lookalike-{service['metadata']['labels']['app.kubernetes.io/name']}-tls"
        short = service["metadata"]["name"]
        for name in (short, f"{short}.lookalike.svc", f"{short}.lookalike.svc.cluster.local"):
            assert name in named[secret]
    for name in SERVICES:
        volumes = {volume["name"]: volume for volume in pods("production")[name]["volumes"]}
        assert volumes["tls"]["secret"]["secretName"] in named
