"""The wheel as users get it: built, installed in an environment of its own, used on services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike import __version__
from lookalike.serving.local_stack import LocalStack
from scripts import package
from tests.conftest import DrawPhoto

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """\
import sys

from lookalike import CataloguePhoto, Client

with Client(sys.argv[1]) as client:
    client.ingest(CataloguePhoto("packaged", product_id="packaged", category="c"), sys.argv[2])
    found = client.similar(sys.argv[2], k=1)
    nearest: str = found.hits[0].photo.item_id
    distance: float = found.hits[0].distance
    print(nearest, distance < 0.01)
"""

pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return package.build(tmp_path_factory.mktemp("package") / "dist")


@pytest.fixture(scope="module")
def environment(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what its command line needs, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    subprocess.run(
        [
            *(folder / "bin/python", "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--constraint", ROOT / "constraints.txt"),
            f"{built[1]}[cli]",
        ],
        check=True,
    )
    return folder


@pytest.fixture
def run(environment: Path, stack: LocalStack, tmp_path: Path) -> Run:
    """Runs a program of the environment in a folder that has nothing of the repository."""
    settings = {
        "LOOKALIKE_GATEWAY": stack.address("gateway"),
        "LOOKALIKE_EMBEDDER": stack.address("embedder_service"),
        "LOOKALIKE_INDEX": stack.address("index_service"),
    }
    inherited = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [environment / "bin" / name, *map(str, arguments)],
            cwd=tmp_path,
            env={**inherited, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return file


def test_wheel_holds_what_users_need_and_nothing_else(built: tuple[Path, Path]) -> None:
    assert package.problems(built[1]) == []


def test_sdist_holds_what_the_wheel_is_made_of_and_no_tests(built: tuple[Path, Path]) -> None:
    sdist, wheel = (set(package.names_in(file)) for file in built)
    assert {name for name in wheel if name.startswith("lookalike/")} <= sdist
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= sdist
    assert {name.partition("/")[0] for name in sdist} & {
        "tests",
        "gateway",
        "training",
        "var",
    } == set()


def test_sdist_makes_the_wheel_that_the_checkout_makes(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / built[1].name).read_bytes() == built[1].read_bytes()


def test_installed_command_says_the_version(run: Run) -> None:
    assert run("lookalike", "--version").stdout == f"lookalike {__version__}\n"
    told = run("python", "-c", "import importlib.metadata as m; print(m.version('lookalike'))")
    assert told.stdout == f"{__version__}\n"


def test_nothing_of_the_checkout_is_used(run: Run, environment: Path) -> None:
    where = Path(run("python", "-c", "import lookalike; print(lookalike.__file__)").stdout.strip())
    assert where.is_relative_to(environment)


def test_installed_client_and_command_find_what_was_ingested(
    run: Run, program: Path, tmp_path: Path, stack: LocalStack, draw_photo: DrawPhoto
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photo(9100))
    assert run("python", program, stack.address("gateway"), photo).stdout == "packaged True\n"
    found = json.loads(run("lookalike", "similar", photo, "--k", 1, "--json").stdout)
    assert "packaged" in json.dumps(found)


def test_types_of_the_installed_package_are_seen_by_mypy(
    environment: Path, program: Path, tmp_path: Path
) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        flags = ["--strict", "--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache")]
        python = ["--python-executable", str(environment / "bin/python")]
        return subprocess.run(
            [sys.executable, "-m", "mypy", *flags, *python, program.name],
            cwd=tmp_path,
            env={name: os.environ[name] for name in os.environ if name != "MYPYPATH"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = check()
    assert done.returncode == 0, done.stdout
    program.write_text(PROGRAM.replace("nearest: str", "nearest: int"), encoding="utf-8")
    done = check()
    assert 'expression has type "str", variable has type "int"' in done.stdout
