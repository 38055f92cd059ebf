"""Environment variables → settings, and what is said of a wrong one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from embedder_service.config import EmbedderSettings
from gateway.config import PREFIX as GATEWAY_PREFIX
from gateway.config import GatewaySettings
from index_service.config import PREFIX as INDEX_PREFIX
from index_service.config import IndexSettings
from lookalike.errors import StartupError
from lookalike.serving.settings import load, setting, variables

PREFIX = "LOOKALIKE_TEST_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    count: int = setting(3, "A number.", minimum=1, maximum=10)
    seconds: float = setting(0.5, "A time.", minimum=0)
    rate: float = setting(0.0, "A share.", minimum=0.001, off=0)
    unbounded: int = setting(1, "A number that an int64 takes.")
    folder: Path = setting(Path("var"), "A place.")
    name: str = setting("a", "A choice.", choices=("a", "b"))
    free: str = setting("", "Anything.")


def load_with(**values: str) -> Settings:
    return load(Settings, PREFIX, {PREFIX + name.upper(): v for name, v in values.items()})


def test_without_variables_all_is_default() -> None:
    assert load_with() == Settings()


def test_every_type_is_read() -> None:
    settings = load_with(count="10", seconds="1e-3", folder="/x/y", name="b", free="ä =b")
    assert settings == Settings(count=10, seconds=0.001, folder=Path("/x/y"), name="b", free="ä =b")
    assert [type(value) for value in dataclasses.astuple(settings)][:2] == [int, float]


def test_variables_of_others_are_ignored() -> None:
    assert load(Settings, PREFIX, {"LOOKALIKE_OTHER_COUNT": "x", "COUNT": "7"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("count", "many", "is 'many'; it must be of type int"),
        ("count", "", "is ''; it must be of type int"),
        ("count", "1.5", "is '1.5'; it must be of type int"),
        ("count", "0", "is 0; it must be at least 1"),
        ("count", "11", "is 11; it must be at most 10"),
        ("seconds", "-0.1", "is -0.1; it must be at least 0"),
        ("seconds", "soon", "is 'soon'; it must be of type float"),
        ("seconds", "nan", "is nan; it must be finite"),
        ("seconds", "inf", "is inf; it must be finite"),
        ("name", "c", "is 'c'; it must be one of a, b"),
        ("count", "1_0", "is '1_0'; it must be of type int"),
        ("count", "٧", "is '٧'; it must be of type int"),
        ("seconds", "1_0.5", "is '1_0.5'; it must be of type float"),
        ("seconds", "٧", "is '٧'; it must be of type float"),
        ("rate", "1e-308", "is 1e-308; it must be 0, or at least 0.001"),
        ("rate", "-1", "is -1.0; it must be 0, or at least 0.001"),
        ("unbounded", str(1 << 63), f"is {1 << 63}; it must be at most {(1 << 63) - 1}"),
        ("unbounded", "1" * 5000, f"is '{'1' * 200}…'; it must be of type int"),
        ("count", "1" * 4000, f"is {'1' * 200}…; it must be at most 10"),
        ("folder", "", "is ''; it must be a path"),
        ("name", "c" * 5000, f"is '{'c' * 200}…'; it must be one of a, b"),
    ],
)
def test_wrong_value_is_refused_with_its_variable_and_its_limit(
    name: str, text: str, complaint: str
) -> None:
    with pytest.raises(StartupError) as caught:
        load_with(**{name: text})
    assert str(caught.value) == f"{PREFIX}{name.upper()} {complaint}"


def test_unknown_variable_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(StartupError) as caught:
        load_with(cuont="3")
    message = str(caught.value)
    assert message.startswith(f"{PREFIX}CUONT is not a setting")
    assert all(f"{PREFIX}{field.name.upper()}" in message for field in dataclasses.fields(Settings))


def test_unknown_variable_is_shown_as_far_as_it_can_be_read() -> None:
    with pytest.raises(StartupError) as caught:
        load_with(**{"x" * 5000: "3"})
    assert str(caught.value).startswith(f"{PREFIX}XXX")
    assert "X…" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["INFERENCE_THREADS", "DECODE_THREADS"])
def test_more_threads_than_can_be_started_are_refused(name: str) -> None:
    with pytest.raises(StartupError, match=f"{name} is 10{{30}}; it must be at most 1024"):
        load(EmbedderSettings, EMBEDDER_PREFIX, {f"{EMBEDDER_PREFIX}{name}": f"1{'0' * 30}"})


@pytest.mark.parametrize(
    ("settings_class", "prefix"),
    [
        (EmbedderSettings, EMBEDDER_PREFIX),
        (IndexSettings, INDEX_PREFIX),
        (GatewaySettings, GATEWAY_PREFIX),
    ],
)
def test_every_default_of_a_service_is_within_its_own_limits(
    settings_class: type, prefix: str
) -> None:
    documented = variables(settings_class, prefix)
    assert len(documented) == len(dataclasses.fields(settings_class))
    assert all(meaning for _, _, meaning in documented)
    environment = {name: default for name, default, _ in documented}
    assert load(settings_class, prefix, environment) == settings_class()


@pytest.mark.parametrize("number", [1 << 31, 1 << 63])
def test_limit_that_does_not_fit_into_the_published_message_is_refused(number: int) -> None:
    with pytest.raises(StartupError, match=r"MAX_STREAM_IN_FLIGHT is .* at most"):
        load(
            EmbedderSettings,
            EMBEDDER_PREFIX,
            {f"{EMBEDDER_PREFIX}MAX_STREAM_IN_FLIGHT": str(number)},
        )
