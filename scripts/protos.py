"""Generates the gRPC stubs from protos/ and runs buf over the protos.

    python -m scripts.protos generate           write the stubs into lookalike/
    python -m scripts.protos check              fail if the stubs are not what protos/ gives
    python -m scripts.protos lint               buf lint (needs npm)
    python -m scripts.protos breaking [REF]     buf breaking against a git revision (needs npm)

google/rpc/status.proto is not copied into the repository: it comes from the pinned
googleapis-common-protos package, at generation and for buf alike.
"""

from __future__ import annotations

import filecmp
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
BUF_VERSION = "1.75.0"
# buf's configuration ignores google/, but buf must be able to read what the protos import.
IMPORTED = ["google/rpc/status.proto"]
# Messages renamed since a baseline was written: (old name, new name). Names of messages are not on
# the wire, but buf takes another name for another type.
RENAMED = [("Listing", "CataloguePhoto")]


def main(arguments: list[str]) -> int:
    """Runs one of the verbs above; returns the exit status."""
    match arguments:
        case ["generate"]:
            generate(ROOT)
        case ["check"]:
            return check()
        case ["lint"]:
            return lint()
        case ["breaking"]:
            return breaking(_baseline())
        case ["breaking", revision]:
            return breaking(revision)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def generate(out: Path) -> None:
    """Writes `_pb2` and `_pb2_grpc` modules and their type stubs below `out`."""
    command = [
        sys.executable, "-m", "grpc_tools.protoc",
        f"--proto_path={PROTOS}", f"--proto_path={_googleapis()}",
        *(f"--{plugin}_out={out}" for plugin in ("python", "grpc_python")),
        *(f"--{plugin}_out=quiet:{out}" for plugin in ("mypy", "mypy_grpc")),
        *sorted(str(path) for path in PROTOS.rglob("*.proto")),
    ]  # fmt: skip
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}  # finds protoc-gen-mypy
    subprocess.run(command, check=True, env=environment)
    for package in {path.relative_to(PROTOS).parent for path in PROTOS.rglob("*.proto")}:
        for folder in (package, *package.parents[:-2]):
            (out / folder / "__init__.py").touch()


def check() -> int:
    """Compares freshly generated stubs with the committed ones."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.relative_to(folder): path for path in Path(folder).rglob("*_pb2*")}
        committed = {path.relative_to(ROOT) for path in (ROOT / "lookalike").rglob("*_pb2*.py*")}
        committed = {path for path in committed if path.suffix in {".py", ".pyi"}}
        stale = sorted(
            str(name)
            for name in committed | set(fresh)
            if name not in fresh
            or name not in committed
            or not filecmp.cmp(fresh[name], ROOT / name, shallow=False)
        )
    for name in stale:
        print(f"{name} is not what protos/ gives; run `make proto`", file=sys.stderr)
    return 1 if stale else 0


def lint() -> int:
    """Runs `buf lint` over protos/."""
    with tempfile.TemporaryDirectory() as folder:
        tree = _buf_tree(PROTOS, Path(folder))
        return subprocess.run([str(buf()), "lint"], cwd=tree, check=False).returncode


def breaking(revision: str) -> int:
    """Runs `buf breaking` of protos/ against those of a git revision."""
    archive = subprocess.run(
        ["git", "archive", revision, "protos"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(Path(folder) / "archive", filter="data")
        before = _buf_tree(Path(folder) / "archive/protos", Path(folder) / "before")
        _rename_messages(before)
        now = _buf_tree(PROTOS, Path(folder) / "now")
        command = [str(buf()), "breaking", "--against", str(before)]
        return subprocess.run(command, cwd=now, check=False).returncode


def buf() -> Path:
    """Returns the buf executable, installing it beside the virtual environment at first use."""
    folder = Path(sys.prefix) / "buf" / BUF_VERSION
    binary = folder / "node_modules/.bin/buf"
    if not binary.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("buf needs npm, which is not on PATH; install Node.js")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [npm, "install", "--silent", "--no-save", "--prefix", str(folder),
             f"@bufbuild/buf@{BUF_VERSION}"],
            check=True,
        )  # fmt: skip
    return binary


def _googleapis() -> Path:
    spec = importlib.util.find_spec("google.rpc.status_pb2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[2]


def _buf_tree(protos: Path, folder: Path) -> Path:
    shutil.copytree(protos, folder, dirs_exist_ok=True)
    for name in IMPORTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_googleapis() / name, folder / name)
    return folder


def _rename_messages(protos: Path) -> None:
    for file in protos.rglob("*.proto"):
        text = file.read_text(encoding="utf-8")
        for old, new in RENAMED:
            text = re.sub(rf"\b{old}\b", new, text)
        file.write_text(text, encoding="utf-8")


def _baseline() -> str:
    """Returns origin/main where it is known (a branch is checked against it), else HEAD."""
    known = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "origin/main"],
        cwd=ROOT, check=False, capture_output=True,
    )  # fmt: skip
    return "origin/main" if known.returncode == 0 else "HEAD"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
