"""Writes the software bills of materials, CycloneDX as JSON: of each image and of the wheel.

python -m scripts.sbom [--out DIR]    into var/sbom

An image's is made from the lock that the image installs (requirements/*.txt, with its hashes); the
wheel's from what pip would install beside `lookalike[cli]` under constraints.txt. cyclonedx-py
checks each against CycloneDX's schema. The Debian packages of the images are in none, nor is
torch in that of the training image, whose lock leaves it out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from lookalike import __version__

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"


def write(name: str, requirements: str, out: Path) -> None:
    """Writes the bill of what `name` is made of, pinned requirements; the same bytes each time."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", suffix=".toml") as project:
        # The repository's own has no version, which is in the package, and is not an image.
        project.write(
            f'[project]\nname = "{name}"\nversion = "{__version__}"\nlicense = "Apache-2.0"\n'
        )
        project.flush()
        subprocess.run(
            [
                # It warns that a list of requirements tells no dependencies among them.
                *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "-"),
                *("--pyproject", project.name),
                *("--output-reproducible", "--validate"),
                *("--output-format", "JSON", "--output-file", str(out)),
            ],
            input=requirements,
            text=True,
            check=True,
        )


def resolved(extra: str) -> str:
    """Returns what pip would install with an extra, as pinned requirements; installs nothing."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--dry-run", "--ignore-installed", "--report", "-"),
            *("--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[{extra}]"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = (package["metadata"] for package in json.loads(done.stdout)["install"])
    pins = [f"{each['name']}=={each['version']}" for each in found if each["name"] != "lookalike"]
    return "\n".join(sorted(pins))


def main(arguments: list[str]) -> int:
    """Writes all bills; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.sbom")
    parser.add_argument("--out", type=Path, default=ROOT / "var/sbom")
    out: Path = parser.parse_args(arguments).out
    locks = sorted(LOCKS.glob("*.txt"))
    if not locks:
        print(f"{LOCKS} has no locks (*.txt); `make lock` writes them", file=sys.stderr)
        return 1
    written = [out / f"{lock.stem}.cdx.json" for lock in locks]
    for lock, file in zip(locks, written, strict=True):
        write(f"lookalike-{lock.stem}", lock.read_text(encoding="utf-8"), file)
    written.append(out / "wheel.cdx.json")
    write("lookalike", resolved("cli"), written[-1])
    for file in written:
        components = json.loads(file.read_text(encoding="utf-8")).get("components", [])
        print(f"{file}: {len(components)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
