"""The options that several commands share, and the client that they describe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lookalike.cli.console import CommandError, UsageError

if TYPE_CHECKING:
    from lookalike.client import TLS, Client

DEFAULT_GATEWAY = "127.0.0.1:50050"
DEFAULT_EMBEDDER = "127.0.0.1:50051"
DEFAULT_INDEX = "127.0.0.1:50052"

_CONNECTION = "Connection"

Gateway: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="LOOKALIKE_GATEWAY",
        metavar="HOST:PORT",
        help="The gateway; dns:///name:port spreads calls over its addresses.",
        rich_help_panel=_CONNECTION,
    ),
]
Embedder: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="LOOKALIKE_EMBEDDER",
        metavar="HOST:PORT",
        help="The embedders; several with commas between.",
        rich_help_panel=_CONNECTION,
    ),
]
Index: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="LOOKALIKE_INDEX",
        metavar="HOST:PORT",
        help="The index service.",
        rich_help_panel=_CONNECTION,
    ),
]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Longest for one call, or for silence while many are sent.  \\[default: 10, or 60]",
        show_default=False,
        rich_help_panel=_CONNECTION,
    ),
]
Tls: TypeAlias = Annotated[
    bool, typer.Option("--tls", help="Encrypt.", rich_help_panel=_CONNECTION)
]
Ca: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="LOOKALIKE_CA",
        metavar="PEM",
        help="Authorities to trust, instead of the public ones; implies --tls.",
        rich_help_panel=_CONNECTION,
    ),
]
Cert: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="LOOKALIKE_CERT",
        metavar="PEM",
        help="Your certificate and its key in one file, for servers that want it; implies --tls.",
        rich_help_panel=_CONNECTION,
    ),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="LOOKALIKE_TOKEN",
        metavar="TOKEN",
        help="Sent as `authorization: Bearer …`; in the variable nobody sees it.",
        rich_help_panel=_CONNECTION,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def open_client(
    *,
    gateway: str = DEFAULT_GATEWAY,
    embedder: str | None = None,
    timeout: float | None = None,
    tls: TLS | bool = False,
    token: str | None = None,
) -> Client:
    """Returns a client; use it as a context manager. Nothing is connected yet."""
    from lookalike.client import Client

    check_timeout(timeout)
    return Client(
        gateway,
        embedder=embedder,
        timeout=10.0 if timeout is None else timeout,
        photo_timeout=60.0 if timeout is None else timeout,
        tls=tls,
        token=token or None,
    )


def encryption(tls: bool, ca: Path | None, cert: Path | None) -> TLS | bool:
    """Returns how to encrypt; CommandError where there is no such file."""
    from lookalike.client import TLS

    if ca is not None and not ca.is_file():
        raise CommandError(f"{ca}: no such file of authorities (--ca)")
    if cert is not None and not cert.is_file():
        raise CommandError(f"{cert}: no such file of a certificate and its key (--cert)")
    return TLS(ca, cert, cert) if ca or cert else tls


def check_timeout(timeout: float | None) -> None:
    """Raises UsageError for what is no time to wait."""
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise UsageError(f"--timeout is {timeout:g}; it must be above 0")


def check_finite(**options: float | None) -> None:
    """Raises UsageError naming the option that is no number to compare with."""
    for name, value in options.items():
        if value is not None and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} is {value}; it must be finite")
