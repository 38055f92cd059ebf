"""What each RPC of a port needs of its caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from google.protobuf import descriptor_pool

from lookalike.errors import PermissionDeniedError
from lookalike.serving.access import Guard, Scope

_AUTHORIZATION = "authorization"


class RpcAccess:
    """The scopes of a port's RPCs, and who may call them.

    Args:
        guard: Admits the callers.
        admin_elsewhere: The setting of the port that alone answers RPCs of the scope admin; empty
            if this one does.
    """

    def __init__(self, guard: Guard, admin_elsewhere: str = "") -> None:
        self._guard = guard
        self._admin_elsewhere = admin_elsewhere
        self._scopes: dict[str, Scope] = {}

    def add(self, service: str, scopes: Mapping[str, Scope]) -> None:
        """Adds a service by its full name; ValueError unless each of its RPCs has a scope."""
        methods = descriptor_pool.Default().FindServiceByName(service).methods
        if unlike := {method.name for method in methods} ^ set(scopes):
            raise ValueError(f"{service}: the scopes and the RPCs differ in {sorted(unlike)}")
        self._scopes |= {f"/{service}/{name}": scope for name, scope in scopes.items()}

    def admit(self, method: str, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> str:
        """Returns the caller's name; raises as `Guard.admit` does.

        Args:
            method: Such as `/package.Service/Method`.
            metadata: The call's.
            peer: Where it comes from, as gRPC has it: `ipv4:127.0.0.1:50000`.
        """
        scope = self._scopes.get(method, Scope.ADMIN)
        authorization = ", ".join(str(value) for key, value in metadata if key == _AUTHORIZATION)
        client = self._guard.admit(scope, authorization, _address(peer))
        if scope is Scope.ADMIN and self._admin_elsewhere:
            raise PermissionDeniedError(
                f"{method.rpartition('/')[2]} is answered on the admin port alone "
                f"({self._admin_elsewhere})"
            )
        return client

    async def paced(self, client: str) -> None:
        """Waits until a client may send the next message of a stream."""
        await self._guard.paced(client)


def _address(peer: str) -> str:
    """Returns the address of a peer as HTTP has it, or a client would have a share of each face."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind  # `unix:`, which tells nobody from another
    return unquote(rest).rpartition(":")[0].strip("[]")
