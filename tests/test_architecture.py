"""Holds the code to ARCHITECTURE.md: who may import what, and that its layout is the real one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("embedder_service", "index_service", "gateway")
PACKAGES = (
    "lookalike",
    *SERVICES,
    "training",
    "sample",
    "demo",
    "benchmarks",
    "examples",
    "scripts",
)
MAX_LINES = 400

# What a service may import of ours: `lookalike` and itself.
FORBIDDEN = {service: set(PACKAGES) - {"lookalike", service} for service in SERVICES}
FORBIDDEN["lookalike"] = set(PACKAGES) - {"lookalike"}
FORBIDDEN["sample"] = set(PACKAGES) - {"lookalike", "sample"}
FORBIDDEN["training"] = set(PACKAGES) - {"lookalike", "training"}
FORBIDDEN["examples"] = set(PACKAGES) - {"lookalike", "examples"}

# Of the parts of `lookalike`, those that the wheel leaves out: users of the SDK run no server and
# compute no model. `serve` says so where they are not there.
NOT_IN_WHEEL = ("lookalike/model", "lookalike/serving")

# Where each heavy package may be imported.
CONFINED = {
    "torch": ("lookalike/model/engines/torch*.py", "training/*", "benchmarks/*"),
    "torchvision": ("lookalike/model/engines/torch*.py", "training/*"),
    "lightning": ("training/*",),
    "faiss": (
        "index_service/native/memory/graph.py",
        "index_service/native/search/candidates.py",
        "benchmarks/*",
    ),
    "pymilvus": ("index_service/milvus/*",),
    "pandas": ("training/*",),
}
# Of `lookalike`, what is about pictures, vectors or the network: whoever needs it imports it then.
HEAVY = (
    "lookalike.model",
    "lookalike.catalogue.images",
    "lookalike.catalogue.sheets",
    "lookalike.catalogue.vectors",
)
# The index's backends: what both need is beside them.
BACKENDS = ("index_service/native", "index_service/milvus")
GRPC_IN_SERVICES = (
    "*/__main__.py",
    "*/servicer.py",
    "*/open_inference.py",
    "*/upstreams.py",
)


def python_files() -> list[Path]:
    """Every file that git knows or would add, generated stubs left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [Path(name) for name in names.splitlines()]
    return [
        file
        for file in files
        if (ROOT / file).exists() and not re.search(r"_pb2(_grpc)?\.py$", file.name)
    ]


def imports(file: Path, source: str) -> Iterator[str]:
    """Full names of all that a file imports, wherever in it, relative ones made absolute.

    `from a import b` gives `a.b`: whether `b` is a module or something in one makes no difference
    to any rule here.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = file.parent.parts[: len(file.parent.parts) - level + 1] if level else ()
                base = ".".join([*above, *([module] if module else [])])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


@cache
def imports_of(file: Path) -> list[str]:
    """What a file of the repository imports; nearly every rule asks."""
    return list(imports(file, (ROOT / file).read_text(encoding="utf-8")))


def imported_by(*packages: str) -> Iterator[tuple[Path, str]]:
    """Each file of the packages with each name that it imports."""
    for file in python_files():
        if file.parts[0] in packages:
            yield from ((file, name) for name in imports_of(file))


def root_of(name: str) -> str:
    return name.partition(".")[0]


def layout() -> list[Path]:
    """The paths of the tree in ARCHITECTURE.md: names at the start of a line, two levels deep."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^## Where things are\n+```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    paths, folder = [], Path()
    for line in tree.splitlines():
        names = list(takewhile(re.compile(r"[\w/]+(\.py|/)").fullmatch, line.split()))
        if line.startswith(" "):
            paths += [folder / name for name in names]
        else:
            (name,) = names
            folder = Path(name)
            paths.append(folder)
    return paths


def test_imports_of_every_form_are_found() -> None:
    source = """
import a.b, c as d
from e.f import g
def h():
    from . import i
    from ..j import k
    import importlib
    importlib.import_module("l.m")
    __import__("n")
"""
    found = sorted(imports(Path("package/inner/module.py"), source))
    expected = ["a.b", "c", "e.f.g", "importlib", "l.m", "n"]
    assert found == sorted([*expected, "package.inner.i", "package.j.k"])


def test_every_package_has_files_to_look_at() -> None:
    assert {file.parts[0] for file in python_files()} >= {*PACKAGES, "tests"}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_services_import_lookalike_and_themselves_and_lookalike_only_itself(package: str) -> None:
    wrong = [
        f"{file} imports {name}"
        for file, name in imported_by(package)
        if root_of(name) in FORBIDDEN[package]
    ]
    assert wrong == []


def test_what_the_wheel_holds_needs_nothing_that_it_leaves_out() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["exclude"] == list(NOT_IN_WHEEL)
    wrong = [
        f"{file} imports {name}"
        for file, name in imported_by("lookalike")
        for folder in NOT_IN_WHEEL
        if f"{name}.".startswith(folder.replace("/", ".") + ".")
        and not any(file.is_relative_to(part) for part in (*NOT_IN_WHEEL, "lookalike/cli/serve.py"))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", CONFINED)
def test_heavy_package_is_imported_only_where_it_may_be(package: str) -> None:
    users = {file for file, name in imported_by(*PACKAGES) if root_of(name) == package}
    assert users, "nobody imports it: the rule has nothing to hold"
    allowed = {
        file for file in users if any(fnmatch(str(file), pattern) for pattern in CONFINED[package])
    }
    assert users - allowed == set()


def test_backends_of_the_index_know_nothing_of_each_other() -> None:
    modules = {folder: folder.replace("/", ".") for folder in BACKENDS}
    inside = [
        (folder, file, name)
        for file, name in imported_by("index_service")
        for folder in BACKENDS
        if file.is_relative_to(folder)
    ]
    assert {folder for folder, _, _ in inside} == set(BACKENDS)
    wrong = [
        f"{file} imports {name}"
        for folder, file, name in inside
        for other, module in modules.items()
        if other != folder and f"{name}.".startswith(f"{module}.")
    ]
    assert wrong == []


def test_domain_code_of_services_knows_no_grpc() -> None:
    users = {
        file
        for file, name in imported_by(*SERVICES)
        if root_of(name).startswith("grpc") or name.startswith("google.")
    }
    assert users
    allowed = {file for file in users if any(fnmatch(str(file), p) for p in GRPC_IN_SERVICES)}
    assert users - allowed == set()


def test_lookalike_pulls_in_nothing_heavy() -> None:
    program = f"""
import importlib, pkgutil, sys
packages = ["lookalike"]
for package in packages:
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        if not found.name.startswith({HEAVY}):
            importlib.import_module(found.name)
            packages += [found.name] * found.ispkg
print(*sys.modules)
"""
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    loaded = {root_of(name) for name in out.split()}
    assert {"lookalike", "grpc"} <= loaded
    assert loaded & {*CONFINED, "openvino", "PIL", "pyarrow", "matplotlib"} == set()


def test_only_the_client_needs_numpy_and_naming_it_is_what_loads_it() -> None:
    program = """
import sys, lookalike.channel
from lookalike.serving import local_stack, server, streams
print(*sys.modules)
from lookalike import Client
print(*sys.modules)
"""
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    before, after = ({root_of(name) for name in line.split()} for line in out.splitlines())
    assert "numpy" not in before
    assert "numpy" in after
    users = {file.parts[1] for file, name in imported_by("lookalike") if root_of(name) == "numpy"}
    assert users <= {"catalogue", "client", "cli", "model"}


def test_layout_in_the_document_exists() -> None:
    paths = layout()
    assert len(paths) > 40, "the tree was not understood"
    assert Path("index_service/validation.py") in paths
    missing = [str(path) for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_layout_in_the_document_has_every_folder_and_shared_module() -> None:
    files = {file for file in python_files() if file.name not in {"__init__.py", "__main__.py"}}
    files = {file for file in files if file.parts[0] in PACKAGES}
    expected = {Path(file.parts[0]) for file in files}
    expected |= {file for file in files if file.parts[0] == "lookalike" and len(file.parts) == 2}
    assert expected - set(layout()) == set()


def test_no_file_is_too_long_to_read() -> None:
    lengths = {file: len((ROOT / file).read_text("utf-8").splitlines()) for file in python_files()}
    assert {str(file): n for file, n in lengths.items() if n > MAX_LINES} == {}
