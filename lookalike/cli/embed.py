"""`lookalike embed`: photos → vectors in Parquet, straight from the embedders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.catalogue.photo_files import STDIN, PhotoFile, find_photos
from lookalike.cli import options
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    UsageError,
    counted,
    emit,
    progress_bar,
    say,
)
from lookalike.cli.failing import Failures, by_reason, write_failures
from lookalike.cli.vectors_file import Layout, VectorsFile

if TYPE_CHECKING:
    from lookalike.client import Client, Embedding, Model


def command(
    *,
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="Photos, or folders of photos.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PARQUET", help="File to write.")],
    output: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also this output of the model, as a column of its name; may be repeated.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Embed every photo anew, whatever was done before.")
    ] = False,
    json: options.Json = False,
    embedder: options.Embedder = options.DEFAULT_EMBEDDER,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    cert: options.Cert = None,
    token: options.Token = None,
) -> int:
    """Embed photos on all embedders and write their vectors.

    An interrupted run goes on when it is started again: photos that were embedded and have not
    changed are skipped, those that failed are tried again. Failures are listed beside the file, in
    <name>.failures.csv.
    """
    if out.suffix != ".parquet":
        raise UsageError(f"--out is {out}; its name must end in .parquet")
    if out.is_dir():
        raise CommandError(f"{out}: is a directory")
    if STDIN in photos:
        raise UsageError("- is not for embed: give files or folders")
    found = find_photos(photos)
    wanted = found.photos
    client = options.open_client(
        embedder=embedder, timeout=timeout, tls=options.encryption(tls, ca, cert), token=token
    )
    failures = Failures()
    for name, error in found.unusable.items():
        failures.add(name, error)
    listed = out.with_suffix(".failures.csv")
    parts = out.with_name(out.name + ".parts")
    if parts.is_dir():
        say(f"{parts}: an earlier version's, not gone on with; it can be removed")
    with client:
        layout = _layout(client.model(), output or [])
        with VectorsFile(out, layout, restart=restart) as file:
            todo = [photo for photo in wanted if not file.has(photo)]
            done = len(wanted) - len(todo)
            if done:
                say(f"{counted(done, 'photo')} of {len(wanted):,} embedded before")
            try:
                with progress_bar("Embedding", total=len(wanted), done=done) as bar:
                    for _ in _embedded(client, file, layout, todo, failures):
                        bar.advance()
            except KeyboardInterrupt:
                again = "the same command without --restart" if restart else "the same command"
                kept = f"interrupted; what is embedded is kept, {again} goes on from there"
                raise CommandError(kept, ExitCode.INTERRUPTED) from None
            finally:
                write_failures(listed, failures.items)
            written = file.write(wanted, unseen=found.unusable)
    if json:
        emit(
            {
                "file": str(out),
                "photos": written,
                "embedded": len(todo) - len(failures.items) + len(found.unusable),
                "skipped": done,
                "failed": len(failures.items),
                "reasons": by_reason(failures.items),
                "failures": str(listed) if failures.items else None,
                "embedding_space": layout.embedding_space,
            }
        )
    say(f"{out}: vectors of {counted(written, 'photo')}")
    if not failures.items:
        return ExitCode.OK
    reasons = ", ".join(
        f"{reason} {count:,}" for reason, count in by_reason(failures.items).items()
    )
    say(f"{counted(len(failures.items), 'photo')} failed, listed in {listed}: {reasons}")
    return ExitCode.SOME_FAILED if written else ExitCode.FAILED


def _layout(model: Model, also: Sequence[str]) -> Layout:
    dimensions = {output.name: output.dimension for output in model.outputs}
    if unknown := [name for name in also if name not in dimensions]:
        raise UsageError(
            f"the model has no output '{unknown[0]}' (--output); it has {', '.join(dimensions)}"
        )
    names = dict.fromkeys([next(iter(dimensions)), *also])
    return Layout(model.embedding_space, {name: dimensions[name] for name in names})


def _embedded(
    client: Client,
    file: VectorsFile,
    layout: Layout,
    todo: Sequence[PhotoFile],
    failures: Failures,
) -> Iterator[PhotoFile]:
    """Embeds photos; yields each when its vectors are kept or it has failed."""
    by_id = {photo.id: photo for photo in todo}
    pairs = ((photo.id, photo.path) for photo in todo)
    if not todo:
        return
    for photo_id, outcome in client.embed_many(pairs, outputs=list(layout.outputs)):
        photo = by_id[photo_id]
        if isinstance(outcome, Exception):
            failures.add(photo.id, outcome)
        else:
            failures.succeeded()
            _check_space(outcome, layout)
            file.add(photo, outcome.outputs)
        yield photo


def _check_space(embedding: Embedding, layout: Layout) -> None:
    if embedding.embedding_space != layout.embedding_space:
        raise CommandError(
            f"an embedder changed its model from {layout.embedding_space} to "
            f"{embedding.embedding_space}; once all of them have, --restart embeds every photo anew"
        )
