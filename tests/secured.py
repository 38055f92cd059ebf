"""The three services with TLS, client certificates, tokens and admin ports of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from lookalike.client import TLS
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess
from tests.certificates import Authority

# By their scopes; `all` is the gateway's, and of those who may do everything.
TOKENS = {
    name: f"token-that-is-{name}-and-long-enough" for name in ("read", "write", "admin", "all")
}


@dataclass
class Secured:
    """What runs, and what clients need."""

    authority: Authority
    folder: Path
    tokens: Path
    embedder: ServiceProcess
    index: ServiceProcess
    gateway: ServiceProcess
    tls: TLS

    @property
    def ports(self) -> dict[str, str]:
        """Each gRPC port's address by name."""
        return {
            "embedder": self.embedder.address,
            "embedder admin": self.embedder.announced("also serving"),
            "index": self.index.address,
            "index admin": self.index.announced("also serving"),
            "gateway": self.gateway.address,
        }

    @property
    def http(self) -> str:
        """The gateway's page."""
        return f"https://{self.gateway.announced('serving http')}"

    @property
    def logs(self) -> str:
        """All that the services logged."""
        processes = (self.embedder, self.index, self.gateway)
        return "".join(process.log.read_text() for process in processes)

    def channel(self, address: str) -> grpc.Channel:
        """A channel with a client's certificate."""
        return grpc.secure_channel(address, self.tls.credentials())


def write_tokens(file: Path, tokens: dict[str, str]) -> None:
    """Writes the file of tokens; each name is a scope, or `all`."""
    lines = [
        f"{name} {'read,write,admin' if name == 'all' else name} "
        f"{hashlib.sha256(token.encode()).hexdigest()}"
        for name, token in tokens.items()
    ]
    beside = file.with_suffix(".new")
    beside.write_text("\n".join(lines))
    beside.replace(file)


@contextmanager
def secured_services(bundle: Bundle, folder: Path, **settings: object) -> Iterator[Secured]:
    """Runs them; each setting is of all three."""
    authority = Authority(folder / "tls")
    certificate, key = authority.issue("server")
    tokens = folder / "tokens"
    write_tokens(tokens, TOKENS)
    mine = folder / "gateway-token"
    mine.write_text(TOKENS["all"])
    common = {
        "PORT": 0,
        "HEALTH_PORT": 0,
        "TLS_CERTIFICATE": certificate,
        "TLS_KEY": key,
        "TLS_CLIENT_CA": authority.roots,
        "TOKENS": tokens,
        **settings,
    }
    with ExitStack() as stack:

        def start(module: str, **own: object) -> ServiceProcess:
            name = module.removesuffix("_service").upper()
            environment = {
                f"LOOKALIKE_{name}_{key}": str(value) for key, value in {**common, **own}.items()
            }
            log = folder / f"{module}.log"
            return stack.enter_context(ServiceProcess(module, environment, log))

        embedder = start("embedder_service", BUNDLE=bundle.path, ADMIN_PORT=0, PRECISION="fp32")
        index = start("index_service", DATA_DIR=folder / "index", ADMIN_PORT=0)
        gateway = start(
            "gateway",
            HTTP_PORT=0,
            EMBEDDER=embedder.address,
            INDEX=index.address,
            UPSTREAM_CA=authority.roots,
            UPSTREAM_TOKEN=mine,
            THUMBNAILS=folder / "thumbnails",
        )
        client = authority.issue_in_one("client", "client.test")
        tls = TLS(authority.roots, client, client)
        yield Secured(authority, folder, tokens, embedder, index, gateway, tls)
