"""Reads settings from environment variables into a frozen dataclass; names a bad variable.

A field `max_image_bytes` of a settings class with the prefix `LOOKALIKE_EMBEDDER_` is read from
`LOOKALIKE_EMBEDDER_MAX_IMAGE_BYTES`. Declare fields with `setting(...)`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from lookalike.errors import StartupError

T = TypeVar("T")

# What int64 takes, which is what becomes of most; others have limits of their own.
_LARGEST = (1 << 63) - 1
_LONGEST_SHOWN = 200


def setting(
    default: Any,
    help: str,  # noqa: A002  the field's word everywhere
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    off: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Declares a field: its default, its meaning and what raising it costs, its limits.

    `off` is a value below the minimum that is good all the same.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "off": off,
        "choices": tuple(choices),
    }
    return dataclasses.field(default=default, metadata=metadata)


def load(settings_class: type[T], prefix: str, environment: Mapping[str, str]) -> T:
    """Reads the settings; raises StartupError naming a variable that is wrong or unknown."""
    assert dataclasses.is_dataclass(settings_class)
    types = get_type_hints(settings_class)
    fields = {prefix + field.name.upper(): field for field in dataclasses.fields(settings_class)}
    unknown = sorted(name for name in environment if name.startswith(prefix) and name not in fields)
    if unknown:
        known = ", ".join(sorted(fields))
        raise StartupError(f"{cut(unknown[0])} is not a setting; known settings: {known}")
    values = {
        field.name: _parse(name, environment[name], types[field.name], field.metadata)
        for name, field in fields.items()
        if name in environment
    }
    return settings_class(**values)


def variables(settings_class: type[Any], prefix: str) -> list[tuple[str, str, str]]:
    """Returns the name, default and meaning of every variable, for the documentation."""
    return [
        (prefix + f.name.upper(), _shown(f.default), f.metadata["help"])
        for f in dataclasses.fields(settings_class)
    ]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cut(text: str) -> str:
    """Returns a text as messages show it: the beginning of a long one."""
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _parse_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _parse_path(text: str) -> Path:
    if not text:  # Path makes the working directory of it
        raise ValueError(text)
    return Path(text)


def _plain(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns a parser without what Python takes beyond it: `1_0`, other scripts' digits."""

    def parsed(text: str) -> Any:
        if "_" in text or not text.isascii():
            raise ValueError(text)
        return parse(text)

    return parsed


_PARSERS: dict[type[Any], Callable[[str], Any]] = {
    int: _plain(int),
    float: _plain(float),
    str: str,
    Path: _parse_path,
    bool: _parse_bool,
}


def _parse(name: str, text: str, kind: type[Any], metadata: Mapping[str, Any]) -> Any:
    try:
        value = _PARSERS[kind](text)
    except ValueError:
        wanted = "a path" if kind is Path else f"of type {kind.__name__}"
        raise StartupError(f"{name} is '{cut(text)}'; it must be {wanted}") from None
    if kind is float and not math.isfinite(value):
        raise StartupError(f"{name} is {value}; it must be finite")
    low, high, off = metadata["minimum"], metadata["maximum"], metadata["off"]
    if high is None and kind is int:
        high = _LARGEST
    if low is not None and value < low and value != off:
        least = f"at least {low}" if off is None else f"{off}, or at least {low}"
        raise StartupError(f"{name} is {cut(str(value))}; it must be {least}")
    if high is not None and value > high:
        raise StartupError(f"{name} is {cut(str(value))}; it must be at most {high}")
    if (choices := metadata["choices"]) and value not in choices:
        raise StartupError(f"{name} is '{cut(value)}'; it must be one of {', '.join(choices)}")
    return value
