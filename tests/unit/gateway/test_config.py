"""What the gateway can be told, and what it refuses to be told."""

from __future__ import annotations

import pytest

from gateway.config import PREFIX, GatewaySettings
from lookalike.errors import StartupError
from lookalike.serving.settings import load

ADDRESSES = (
    "it must be host:port, dns:///name:port, or several address:port of IP addresses with commas "
    "between them"
)
NAMES = "it must be 1 to 51 of a-z, 0-9, _ and -, starting with a letter"


def load_with(**values: str) -> GatewaySettings:
    return load(GatewaySettings, PREFIX, {PREFIX + name.upper(): v for name, v in values.items()})


def test_without_variables_it_finds_the_others_where_they_listen_by_default() -> None:
    settings = load_with()
    assert (settings.port, settings.embedder, settings.index) == (
        50050,
        "127.0.0.1:50051",
        "127.0.0.1:50052",
    )
    assert (settings.collection, settings.default_timeout_s) == ("listings", 30)


def test_every_variable_of_its_own_is_read() -> None:
    settings = load_with(
        port="0",
        embedder="dns:///embedder:50051",
        index="index:1",
        collection="photos",
        default_timeout_s="0.001",
        max_stream_in_flight="3",
        cache_bytes="0",
        hedge_after_ms="50",
        hedge_share="0.1",
        near_duplicate_policy="refuse",
        near_duplicate_distance="0.5",
        near_duplicate_nearness="0.75",
        lineage_check_s="1",
    )
    assert settings == GatewaySettings(
        port=0,
        embedder="dns:///embedder:50051",
        index="index:1",
        collection="photos",
        default_timeout_s=0.001,
        max_stream_in_flight=3,
        cache_bytes=0,
        hedge_after_ms=50,
        hedge_share=0.1,
        near_duplicate_policy="refuse",
        near_duplicate_distance=0.5,
        near_duplicate_nearness=0.75,
        lineage_check_s=1,
    )


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("port", "65536", "is 65536; it must be at most 65535"),
        ("port", "-1", "is -1; it must be at least 0"),
        ("default_timeout_s", "0", "is 0.0; it must be at least 0.001"),
        ("default_timeout_s", "1e308", "is 1e+308; it must be at most 3600"),
        ("default_timeout_s", "inf", "is inf; it must be finite"),
        (
            "collection",
            "Listings",
            f"is 'Listings'; {NAMES}",
        ),
        (
            "collection",
            "x" * 52,
            f"is '{'x' * 52}'; {NAMES}",
        ),
        ("collection", "x" * 5000, f"is '{'x' * 200}…'; {NAMES}"),
        ("near_duplicate_policy", "ask", "is 'ask'; it must be one of off, flag, link, refuse"),
        ("near_duplicate_distance", "-1", "is -1.0; it must be at least 0"),
        ("near_duplicate_nearness", "1.5", "is 1.5; it must be at most 1"),
        ("near_duplicate_nearness", "nan", "is nan; it must be finite"),
        ("hedge_share", "2", "is 2.0; it must be at most 1"),
        ("cache_bytes", "-1", "is -1; it must be at least 0"),
        ("max_stream_in_flight", "0", "is 0; it must be at least 1"),
        ("max_message_bytes", "1", "is 1; it must be at least 65536"),
        ("embedder", "http://127.0.0.1:50051", f"is 'http://127.0.0.1:50051'; {ADDRESSES}"),
        ("embedder", "10.0.0.1:1,b.test:1", f"is '10.0.0.1:1,b.test:1'; {ADDRESSES}"),
        ("index", "", f"is ''; {ADDRESSES}"),
    ],
)
def test_wrong_value_is_refused_naming_variable_limit_and_value(
    name: str, text: str, complaint: str
) -> None:
    with pytest.raises(StartupError) as caught:
        load_with(**{name: text})
    assert str(caught.value) == f"LOOKALIKE_GATEWAY_{name.upper()} {complaint}"


def test_setting_of_another_service_is_no_setting_of_the_gateway() -> None:
    with pytest.raises(StartupError, match="LOOKALIKE_GATEWAY_BUNDLE is not a setting"):
        load_with(bundle="var/demo/bundle")
