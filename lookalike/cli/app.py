"""Puts the commands together and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lookalike import __version__
from lookalike.cli import classify, embed, ingest, reindex, serve, similar, status
from lookalike.cli.console import CommandError, ExitCode, say
from lookalike.errors import LookalikeError, StartupError
from lookalike.files import FileError

# The base of what is wrong with options. Newer versions of typer have a copy of it of their own,
# older ones take click's.
_TyperUsageError: type[BaseException] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="lookalike",
    help="Which category is this photo, and which listings look like it?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (classify, similar, embed, ingest, reindex, status, serve):
    app.command()(_module.command)
for _command in app.registered_commands:
    _command.name = _command.callback.__module__.rpartition(".")[2] if _command.callback else None


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lookalike {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Which category is this photo, and which listings look like it?"""


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit status. Never raises for what a person did wrong."""
    try:
        result = app(list(arguments), prog_name="lookalike", standalone_mode=False)
        code = ExitCode(result) if isinstance(result, int) else ExitCode.OK
        message = "interrupted" if code is ExitCode.INTERRUPTED else ""
    except BrokenPipeError:
        # Whoever read stdout has seen enough; Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except UnicodeEncodeError as error:
        code, message = ExitCode.USAGE, f"{error.object!a} is not UTF-8"
    except BaseException as error:
        code, message = _explained(error)
    if message:
        say("lookalike: " + " ".join(message.split()))
    return code


def _explained(error: BaseException) -> tuple[ExitCode, str]:
    """Returns the exit code and the line for what a person can do something about."""
    match error:
        case CommandError():
            return error.code, str(error)
        case LookalikeError():
            return ExitCode.FAILED, described(error)
        case StartupError() | FileError():
            return ExitCode.FAILED, str(error)
        case typer.Abort() | KeyboardInterrupt():
            return ExitCode.INTERRUPTED, "interrupted"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return ExitCode.FAILED, f"{where}{error.strerror or error}"
        case _ if isinstance(error, _TyperUsageError):
            return ExitCode.USAGE, _one_line(error)
    raise error


def described(error: LookalikeError) -> str:
    """Returns an error's message, with the reason that docs and scripts know it by."""
    reason = error.code.name if error.reason == "FOREIGN" else error.reason
    return f"{error.message or 'failed'} ({reason})"


def _one_line(error: BaseException) -> str:
    """Returns what typer says of an option, and where help is."""
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    if not text:
        return ""  # a command is missing: help was shown
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "lookalike"
    return f"{text.rstrip('.')}; `{path} --help` tells more"
