"""How one server, a name and several servers are written."""

from __future__ import annotations

import pytest

from gateway import targets
from lookalike.errors import StartupError


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("127.0.0.1:50051", "dns:///127.0.0.1:50051"),
        ("embedder:50051", "dns:///embedder:50051"),
        ("dns:///embedder:50051", "dns:///embedder:50051"),
        ("unix:/run/embedder", "unix:/run/embedder"),
        ("10.0.0.1:1, 10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
    ],
)
def test_target_becomes_one_of_grpcs(written: str, taken: str) -> None:
    assert targets.resolved(written, "NAME") == taken


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("embedder:1,10.0.0.2:2", "NAME has 'embedder:1' among several servers"),
        ("10.0.0.1:1,10.0.0.2", "NAME has '10.0.0.2' among several servers"),
        ("10.0.0.1:1,10.0.0.2:0", "NAME has '10.0.0.2:0' among several servers"),
        ("10.0.0.1:1,", "NAME has '' among several servers"),
        ("10.0.0.1:1,[::1]:2", "IPv4 and IPv6 cannot be mixed"),
    ],
)
def test_several_servers_must_be_addresses_with_ports(written: str, complaint: str) -> None:
    with pytest.raises(StartupError) as caught:
        targets.resolved(written, "NAME")
    assert complaint in str(caught.value)
