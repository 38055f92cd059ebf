"""Vectors of all photos in a folder, as one file: `python examples/embed_folder.py FOLDER OUT.npz`

`numpy.load(OUT)` then has `names`, `vectors` (one row a name) and `embedding_space`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from lookalike import Client, Embedding

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".heic"}


def main() -> None:
    """Embeds on all embedders at once; photos that fail are named and left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--embedder", default="127.0.0.1:50051", help="host:port, or several: a,b")
    arguments = parser.parse_args()

    # Files are read only when an embedder has room for them, however many there are.
    files = (file for file in arguments.folder.rglob("*") if file.suffix.lower() in ENDINGS)
    names, vectors, spaces = list[str](), list[Embedding](), set[str]()
    with Client(embedder=arguments.embedder) as client:
        for file, outcome in client.embed_many((file, file) for file in files):
            if isinstance(outcome, Embedding):
                names.append(str(file.relative_to(arguments.folder)))
                vectors.append(outcome)
                spaces.add(outcome.embedding_space)
            else:
                print(f"{file}: {outcome}", file=sys.stderr)
    if len(spaces) > 1:
        sys.exit("the embedders changed their model meanwhile: run it again")
    if not vectors:
        sys.exit("no photo could be embedded")
    with arguments.out.open("wb") as out:
        np.savez(out, names=names, vectors=np.stack(vectors), embedding_space=spaces.pop())
    print(f"{len(names)} vectors of {len(vectors[0])} floats in {arguments.out}")


if __name__ == "__main__":
    main()
