"""Builds sdist and wheel as users get them, and checks what is in them.

python -m scripts.package [--out DIR]    into var/dist

The wheel is built from the sdist, each in an environment of its own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from packaging.metadata import InvalidMetadata, Metadata

from lookalike import __version__

ROOT = Path(__file__).resolve().parent.parent
# What only services need.
LEFT_OUT = ("lookalike/model/", "lookalike/serving/")
NEEDED = ("lookalike/__init__.py", "lookalike/py.typed")


def build(out: Path) -> tuple[Path, Path]:
    """Builds both into an emptied folder; returns sdist and wheel."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise SystemExit(done.returncode)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def names_in(file: Path) -> list[str]:
    """Returns what a wheel or an sdist holds; an sdist's without its folder."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return wheel.namelist()
    with tarfile.open(file) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def problems(wheel: Path) -> list[str]:
    """Returns what is wrong with a wheel, a sentence each."""
    names = names_in(wheel)
    information = f"lookalike-{__version__}.dist-info"
    found = [f"{wheel.name} lacks {name}" for name in NEEDED if name not in names]
    found += [
        f"{wheel.name} has {name}, which is not for users"
        for name in names
        if name.startswith(LEFT_OUT) or name.partition("/")[0] not in {"lookalike", information}
    ]
    if f"{information}/METADATA" not in names:
        return [*found, f"{wheel.name} has no {information}/METADATA: another version?"]
    with zipfile.ZipFile(wheel) as file:
        text = file.read(f"{information}/METADATA")
    try:
        metadata = Metadata.from_email(text, validate=True)
    except ExceptionGroup as error:
        return [*found, *(f"{wheel.name}: {each}" for each in error.exceptions)]
    except InvalidMetadata as error:
        return [*found, f"{wheel.name}: {error}"]
    if metadata.description_content_type != "text/markdown" or not metadata.description:
        found.append(f"{wheel.name} has no description in Markdown")
    return found


def main(arguments: list[str]) -> int:
    """Builds and checks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.package")
    parser.add_argument("--out", type=Path, default=ROOT / "var/dist")
    sdist, wheel = build(parser.parse_args(arguments).out)
    found = problems(wheel)
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"{sdist}: {len(names_in(sdist))} files\n{wheel}: {len(names_in(wheel))} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
