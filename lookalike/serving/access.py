"""Who may call what: scopes, bearer tokens, and how often. Knows neither gRPC nor HTTP.

A file of tokens has a line for each, which `python -m lookalike.serving.tokens` writes:

    # name  scopes      SHA-256 of the token
    shop    read,write  6ec4…
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lookalike.errors import (
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from lookalike.serving.setting_files import Renewed, SettingFile

_BEARER = re.compile(r"bearer +(?P<token>[^ ]+) *", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# A file of tokens is looked at no more often; one that was taken back is good for so long.
_LOOK_EVERY_S = 1.0
# Clients that a rate limit remembers; the one that was away for longest is forgotten.
_MOST_CLIENTS = 10_000


class Scope(StrEnum):
    """What a call needs."""

    PUBLIC = "public"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True)
class Token:
    """A token that is known: who has it and what it is good for."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes


class TokenFile(Renewed[list[Token]]):
    """The tokens of a file, which is read again when it changes.

    Args:
        file: The file.
        clock: Seconds that only grow.

    Raises:
        StartupError: The file cannot be read, or a line is wrong.
    """

    def __init__(self, file: SettingFile, clock: Callable[[], float] = time.monotonic) -> None:
        # Being locked out by a slip of the pen is worse than a token that is good for longer.
        super().__init__(
            "tokens",
            [file],
            lambda: _parsed(file),
            look_every_s=_LOOK_EVERY_S,
            clock=clock,
        )

    def find(self, secret: str) -> Token | None:
        """Returns the token of that secret, None if there is none; takes as long for either."""
        digest = digest_of(secret)
        found = None
        for token in self.latest():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def _parsed(file: SettingFile) -> list[Token]:
    # Nothing but comments may have other characters, whatever they are.
    lines = file.read().decode("utf-8-sig", errors="replace").splitlines()
    tokens: list[Token] = []
    numbers: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            tokens.append(parse_line(line, f"line {number} of {file}"))
            first = numbers.setdefault(tokens[-1].digest, number)
            if first != number:
                raise ValueError(f"lines {first} and {number} of {file} have the same token")
    if not tokens:
        # A slip more often than a wish: who wants nobody in stops the service.
        raise ValueError(f"{file} has no token, so that nobody could come in")
    return tokens


def parse_line(line: str, where: str) -> Token:
    """Reads a line of the file; ValueError names where it is, and not what it says."""
    match line.split():
        # Somebody may have written the token itself.
        case [name, scopes, digest] if _NAME.fullmatch(name) and _DIGEST.fullmatch(digest):
            return Token(name, _scopes(scopes, where), bytes.fromhex(digest))
    raise ValueError(
        f"{where} is no `NAME SCOPES SHA256`, as `python -m lookalike.serving.tokens NAME SCOPES` "
        "writes it; a name has 1 to 64 of A-Z, a-z, 0-9, ., _ and -"
    )


def _scopes(text: str, where: str) -> frozenset[Scope]:
    known = [scope.value for scope in Scope if scope is not Scope.PUBLIC]
    names = text.split(",")
    if wrong := [name for name in names if name not in known]:
        raise ValueError(f"{where} has the scope '{wrong[0][:32]}'; there are {', '.join(known)}")
    return frozenset(Scope(name) for name in names)


def digest_of(secret: str) -> bytes:
    """Returns what is kept of a token, its SHA-256."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


class RateLimiter:
    """Lets each client send so many requests a second, and as many at once after a pause.

    The generic cell rate algorithm (ITU-T I.371): one moment a client, when it will have been
    granted all that it took.

    Args:
        per_s: Requests a second.
        clock: Seconds that only grow.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst_s = max(1.0, 1 / per_s)
        self._clock = clock
        self._granted_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Takes one request of a client's share; the seconds to wait first if there is none now.

        Nothing is taken where the answer is above 0.
        """
        now = self._clock()
        granted = max(self._granted_at.get(client, now), now) + 1 / self._per_s
        early_s = granted - now - self._burst_s
        if early_s > 1e-9:
            return early_s
        self._granted_at[client] = granted
        self._granted_at.move_to_end(client)
        if len(self._granted_at) > _MOST_CLIENTS:
            self._granted_at.popitem(last=False)
        return 0.0

    def check(self, client: str) -> None:
        """Raises RateLimitedError if a client has no request left just now."""
        if wait_s := self.wait_s(client):
            raise RateLimitedError(
                f"'{client}' sends more than {self._per_s:g} requests a second; wait "
                f"{wait_s * 1e3:.0f} ms",
                retry_after_ms=max(1, round(wait_s * 1e3)),
            )


class Guard:
    """Admits calls by token, scope and rate.

    Args:
        tokens: The tokens; None admits everybody everywhere.
        limiter: How often each client may call; None for no limit.
    """

    def __init__(self, tokens: TokenFile | None = None, limiter: RateLimiter | None = None) -> None:
        self.tokens = tokens
        self.limiter = limiter

    def identify(self, scope: Scope, authorization: str, address: str) -> str:
        """Returns the client's name: its token's, else its address; counts no call.

        Args:
            scope: What the call needs.
            authorization: The header, such as `Bearer abc`; empty for none. Several are one with
                commas between, as in HTTP (RFC 9110, 5.3), which is no token.
            address: The address that it comes from, without a port.

        Raises:
            UnauthenticatedError: There is no token, or nobody's.
            PermissionDeniedError: The token is good for something else.
        """
        if self.tokens is None or scope is Scope.PUBLIC:
            return address
        return self._authorised(self.tokens, scope, authorization)

    def admit(self, scope: Scope, authorization: str, address: str) -> str:
        """Returns the client's name, as `identify` does, of a call that counts.

        Raises:
            UnauthenticatedError, PermissionDeniedError: As `identify` does.
            RateLimitedError: The client called too often.
        """
        client = self.identify(scope, authorization, address)
        if self.limiter is not None and scope is not Scope.PUBLIC:
            self.limiter.check(client)
        return client

    async def paced(self, client: str) -> None:
        """Waits until a client may send the next message of a stream."""
        if self.limiter is None:
            return
        while True:
            wait_s = self.limiter.wait_s(client)
            if not wait_s:
                return
            await asyncio.sleep(wait_s)

    @staticmethod
    def _authorised(tokens: TokenFile, scope: Scope, authorization: str) -> str:
        if not authorization:
            raise UnauthenticatedError(
                f"this needs a token of scope {scope}; send `authorization: Bearer TOKEN`"
            )
        sent = _BEARER.fullmatch(authorization)
        token = tokens.find(sent["token"]) if sent else None
        if token is None:
            raise UnauthenticatedError(
                "the token is not known here"
                if sent
                else "the header authorization must be `Bearer TOKEN`, and there once"
            )
        if scope not in token.scopes:
            raise PermissionDeniedError(
                f"this needs a token of scope {scope}; that of '{token.name}' has "
                f"{', '.join(sorted(token.scopes))}",
                metadata={"scope": scope.value},
            )
        return token.name
