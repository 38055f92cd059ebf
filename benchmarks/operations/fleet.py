"""Services of all three kinds, each a process on a loopback port that it keeps when started again.

Knows nothing of what is done to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.processes import free_port
from lookalike.serving.local_stack import ServiceProcess

# The claims are about services, not about how fast they are: the network is small.
BUNDLE, SIZE = Path("var/bench/small-bundle"), 32

EMBEDDER, INDEX, GATEWAY = "embedder_service", "index_service", "gateway"
_PREFIXES = {
    EMBEDDER: "LOOKALIKE_EMBEDDER_",
    INDEX: "LOOKALIKE_INDEX_",
    GATEWAY: "LOOKALIKE_GATEWAY_",
}


class Fleet:
    """Use as a context manager: all that run at its end are stopped, the newest first.

    Args:
        bundle: What the embedders serve.
        folder: For data and logs.
    """

    def __init__(self, bundle: Path, folder: Path) -> None:
        self._bundle = bundle.resolve()
        self.folder = folder
        self.services: list[ServiceProcess] = []

    def add(
        self,
        module: str,
        *,
        environment: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        **settings: object,
    ) -> ServiceProcess:
        """Starts a service with settings named as the fields of its settings class."""
        named: dict[str, object] = {"port": free_port(), **settings}
        prefix = _PREFIXES[module]
        variables = {prefix + name.upper(): str(value) for name, value in named.items()}
        log = self.folder / f"{len(self.services)}-{module}.log"
        service = ServiceProcess(module, {**(environment or {}), **variables}, log, within=within)
        self.services.append(service)
        service.start()
        return service

    def embedder(self, **settings: object) -> ServiceProcess:
        """Starts an embedder."""
        cache = self.folder / "compiled"
        given = {"bundle": self._bundle, "admin_port": 0, "compile_cache": cache, **settings}
        return self.add(EMBEDDER, **given)  # type: ignore[arg-type]

    def index(self, **settings: object) -> ServiceProcess:
        """Starts the index."""
        given = {"data_dir": self.folder / "index", **settings}
        return self.add(INDEX, **given)  # type: ignore[arg-type]

    def gateway(self, embedders: str, index: str, **settings: object) -> ServiceProcess:
        """Starts a gateway in front of embedders and the index."""
        given = {"embedder": embedders, "index": index, "http_port": 0, **settings}
        return self.add(GATEWAY, **given)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops all that run, the newest first."""
        for service in reversed(self.services):
            service.stop()


def addresses(services: Sequence[ServiceProcess]) -> str:
    """Returns the services' addresses as one target."""
    return ",".join(service.address for service in services)


@contextmanager
def benchmark_fleet() -> Iterator[tuple[Fleet, Sequence[bytes]]]:
    """Yields a fleet of the benchmarks' small bundle, in a folder of its own, and photos."""
    photos = photos_of(SMALL, 32)
    bundle = served_bundle(BUNDLE, photos, SIZE)
    with TemporaryDirectory() as folder, Fleet(bundle.path, Path(folder)) as fleet:
        yield fleet, photos
