"""`lookalike serve`: the three services on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli import options
from lookalike.cli.console import CommandError, ExitCode, emit, say, show_table

if TYPE_CHECKING:
    from lookalike.serving.local_stack import LocalStack

_NEEDED = ("lookalike.serving", "embedder_service", "index_service", "gateway")
_POLL_S = 0.5


def command(
    *,
    bundle: Annotated[Path, typer.Option(metavar="DIR", help="The model bundle.")],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the catalogue and the logs are kept.")
    ],
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="The gateway's port; 0 takes a free one."),
    ] = 50050,
    http_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="The web page's port; 0 takes a free one."),
    ] = 8080,
    embedder_port: Annotated[int, typer.Option(min=0, max=65535)] = 50051,
    admin_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The embedder's port for its operators.")
    ] = 50061,
    index_port: Annotated[int, typer.Option(min=0, max=65535)] = 50052,
    json: options.Json = False,
) -> int:
    """Run embedder, index and gateway on this machine until Ctrl-C."""
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            raise CommandError(
                f"{module} is not installed: serve needs the repository (pip install -e '.[all]')"
            )
    from lookalike.serving.local_stack import LocalStack

    if not (bundle / "manifest.json").is_file():
        raise CommandError(f"{bundle}: no model bundle there; it has no manifest.json")
    stack = LocalStack(
        bundle=bundle,
        index_dir=data / "index",
        log_dir=data / "logs",
        ports={
            "gateway": port,
            "http": http_port,
            "admin": admin_port,
            "embedder_service": embedder_port,
            "index_service": index_port,
        },
        thumbnails=data / "thumbnails",
        detached=True,  # or Ctrl-C would reach them too, and not the gateway first
    )
    try:
        with _polite_kills():
            stack.start()
            _announce(stack, json=json)
            while all(service.running for service in stack.services):
                time.sleep(_POLL_S)
        ended = next(service for service in stack.services if not service.running)
        raise CommandError(f"{ended.module} has ended; see {ended.log}")
    except KeyboardInterrupt:
        return ExitCode.OK
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is impatient would leave them running
        say("stopping …")
        stack.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _announce(stack: LocalStack, *, json: bool) -> None:
    page = f"http://{stack.http_address}/"
    if json:
        services = {service.module: service.address for service in stack.services}
        emit({**services, "page": page, "admin": stack.admin_address})
    else:
        rows = [(s.module, s.address, str(s.log)) for s in reversed(stack.services)]
        admin = ("embedder's operators", stack.admin_address, "")
        show_table(("service", "address", "log"), [("web page", page, ""), *rows, admin])
    say("Ctrl-C stops them")


@contextlib.contextmanager
def _polite_kills() -> Iterator[None]:
    """Takes SIGTERM, and SIGHUP of a terminal that is closed, as Ctrl-C."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.Signals[name] for name in names)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
