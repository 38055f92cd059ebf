"""Builds the images: `python -m scripts.images [--network host] [IMAGE …]`.

Without a name the three services' images. Each is tagged `lookalike-NAME` and labelled with the
version of the package and the revision of the working tree; its size is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import lookalike

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("embedder", "index", "gateway")
# Names of images, and what `docker build` is told beside their target.
ARGUMENTS: dict[str, dict[str, str]] = {
    **{name: {} for name in SERVICES},
    "index-milvus": {"target": "index", "INDEX_LOCK": "index-milvus"},
    "training": {},
}
# What an image may have at most, as `docker image inspect` counts it: megabytes of 10^6 bytes.
LIMITS_MB = {"embedder": 600, "index": 350, "gateway": 250}


def revision() -> str:
    """Returns the commit, with `-dirty` if files differ from it; `unknown` without git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def build(name: str, *options: str) -> None:
    """Builds one image; raises CalledProcessError, with docker's words on stderr.

    Args:
        name: One of ARGUMENTS.
        options: Further options of `docker build`.
    """
    own = {"VERSION": lookalike.__version__, "REVISION": revision(), **ARGUMENTS[name]}
    target = own.pop("target", name)
    given = [word for key, value in own.items() for word in ("--build-arg", f"{key}={value}")]
    tag = f"lookalike-{name}"
    subprocess.run(
        ["docker", "build", "--target", target, "--tag", tag, *given, *options, "."],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def size_mb(name: str) -> float:
    """Returns how large an image is, in megabytes of 10^6 bytes, with what it shares."""
    inspected = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", f"lookalike-{name}"],
        check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return int(inspected.stdout) / 1e6


def main(arguments: list[str]) -> int:
    """Builds what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=", ".join(ARGUMENTS))
    parser.add_argument("--network", help="that of `docker build`")
    options = parser.parse_args(arguments)
    if unknown := set(options.images) - set(ARGUMENTS):
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(ARGUMENTS)}")
    network = ("--network", options.network) if options.network else ()
    for name in options.images or SERVICES:
        build(name, *network)
        limit = f" of {LIMITS_MB[name]} at most" if name in LIMITS_MB else ""
        print(f"lookalike-{name}: {size_mb(name):.0f} MB{limit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
