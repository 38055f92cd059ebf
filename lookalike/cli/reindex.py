"""`lookalike reindex`: the catalogue anew, by another model or with features, then switched to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.catalogue.photo_files import PhotoFolder
from lookalike.cli import options
from lookalike.cli.console import (
    ExitCode,
    UsageError,
    emit,
    say,
)

if TYPE_CHECKING:
    from lookalike.cli.reindexing.aliases import Served
    from lookalike.cli.reindexing.reloading import Reload

_SWITCH = "The switch"
_TIMEOUT_S = 60.0  # batches and pages of vectors take longer than single calls
_RETRIES = 4  # as many as there can be: the work of hours should outlive a restart


def command(
    *,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The photos, named <photo id>.jpg or the like."),
    ] = None,
    collection: Annotated[
        str, typer.Option(metavar="ALIAS", help="The name that the gateway is told to use.")
    ] = "listings",
    sample: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Photos to compare by.")
    ] = 200,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Switch though some photos are missing or failed; searches then lack them.",
            rich_help_panel=_SWITCH,
        ),
    ] = False,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Switch only if both find as large a share of the same listings.",
            rich_help_panel=_SWITCH,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=_SWITCH)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Copy and compare only.", rich_help_panel=_SWITCH),
    ] = False,
    reload: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Right after it, let the embedder of this admin port load its bundle anew.",
            rich_help_panel=_SWITCH,
        ),
    ] = None,
    rollback: Annotated[
        bool,
        typer.Option(
            "--rollback",
            help="Instead of all that: back to what was served before.",
            rich_help_panel=_SWITCH,
        ),
    ] = False,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Delete photos that the new collection alone has, from when it was served.",
        ),
    ] = False,
    json: options.Json = False,
    index: options.Index = options.DEFAULT_INDEX,
    embedder: options.Embedder = options.DEFAULT_EMBEDDER,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    cert: options.Cert = None,
    token: options.Token = None,
) -> int:
    """Embed the catalogue with a new model into a new collection, compare, and switch to it.

    --embedder is one that serves the new model, beside those that the gateway uses; or the model
    that is served, where the catalogue lacks the features by which it ranks. What is served does
    not change before the switch, which is atomic; --rollback undoes it. An interrupted run
    goes on when it is started again. TLS and token are for embedder and index; the token needs the
    scopes read and write, and admin for --reload and --discard.
    """
    from lookalike.cli.reindexing import aliases
    from lookalike.cli.reindexing.reloading import Reload
    from lookalike.cli.reindexing.run import Run, Wishes
    from lookalike.client import TLS, IndexClient

    options.check_timeout(timeout)
    encryption = options.encryption(tls, ca, cert)
    reloading = Reload(reload, timeout, TLS.of(encryption), token or None) if reload else None
    service = IndexClient(
        index,
        timeout=timeout or _TIMEOUT_S,
        retries=_RETRIES,
        tls=encryption,
        token=token or None,
    )
    if rollback:
        with service:
            now = aliases.served(service, collection)
            spaces = {each.name: each.embedding_space for each in service.collections()}
            aliases.roll_back(service, now)
            same_model = spaces[now.collection] == spaces[now.previous]
            return _rolled_back(now, reloading, same_model=same_model, json=json)
    if images is None:
        raise UsageError("--images is missing: the folder of the photos")
    if dry_run and yes:
        raise UsageError("--dry-run and --yes contradict each other")
    folder = PhotoFolder(images)
    client = options.open_client(embedder=embedder, timeout=timeout, tls=encryption, token=token)
    wishes = Wishes(sample, min_agreement, yes, dry_run, allow_missing, discard, reloading)
    with service, client:
        now = aliases.served(service, collection)
        run = Run(service, client, folder=folder, now=now, wishes=wishes)
        return run.go_on(json=json) if run.is_served else run.go(json=json)


def _rolled_back(now: Served, reload: Reload | None, *, same_model: bool, json: bool) -> ExitCode:
    say(f"'{now.alias}' leads to {now.previous} again, not to {now.collection}")
    if reload:
        say(f"the embedder at {reload.target} serves {reload.run()}")
    elif not same_model:
        say(
            "serve the earlier model to the gateway now: until then it refuses searches "
            "(EMBEDDING_SPACE_MISMATCH)"
        )
    say(f"what was ingested since the switch is in {now.collection} alone: ingest it again")
    if json:
        emit({"alias": now.alias, "collection": now.previous, "previous": now.collection})
    return ExitCode.OK
