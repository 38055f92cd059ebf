"""Network namespaces around one router, which can be told to drop what goes to one of them.

Made with iproute2, by root. Knows nothing of what runs in them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

# RFC 2544 keeps these addresses for measurements: nobody's network has them.
_NET = "198.18"
_HERE = "here"


class NotPossibleError(Exception):
    """What is needed is not here, in words."""


class Networks:
    """A namespace for each name and one for the router; use as a context manager.

    Whatever becomes of the block, the namespaces go with it; what runs in them has to be stopped
    before.

    Args:
        names: Of the namespaces.

    Raises:
        NotPossibleError: On entering, if namespaces cannot be made here.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate([_HERE, *names])}
        self._prefix = f"lk{os.getpid()}"
        self._router = f"{self._prefix}-router"

    def address(self, name: str) -> str:
        """Returns the address of a namespace."""
        return f"{_NET}.{self._numbers[name]}.2"

    def within(self, name: str) -> Sequence[str]:
        """Returns the command that runs another one in a namespace."""
        return ("ip", "netns", "exec", f"{self._prefix}-{name}")

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """Has the router drop, without a word, all that goes to a namespace or comes from it."""
        rules = [("to", self.address(name)), ("from", self.address(name))]
        for rule in rules:
            _ip("-n", self._router, "rule", "add", *rule, "blackhole")
        try:
            yield
        finally:
            for rule in rules:
                _ip("-n", self._router, "rule", "del", *rule, "blackhole")

    def __enter__(self) -> Self:
        if os.geteuid():
            raise NotPossibleError("only root can make network namespaces")
        if not shutil.which("ip"):
            raise NotPossibleError("there is no `ip` here (Debian's iproute2)")
        try:
            self._make()
        except subprocess.CalledProcessError as error:
            self._remove()
            raise NotPossibleError(f"no network namespace: {error.stderr.strip()}") from None
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def _make(self) -> None:
        _ip("netns", "add", self._router)
        # Not in the same command: it would be about the namespace that the command runs in.
        forwarding = "net.ipv4.ip_forward=1"
        _run("ip", "netns", "exec", self._router, "sysctl", "--quiet", "--write", forwarding)
        for name, number in self._numbers.items():
            inside, outside = f"{self._prefix}i{number}", f"{self._prefix}o{number}"
            where = () if name == _HERE else ("-n", f"{self._prefix}-{name}")
            if where:
                _ip("netns", "add", where[1])
                _ip(*where, "link", "set", "lo", "up")
            _ip(*where, "link", "add", inside, "type", "veth", "peer", "name", outside,
                "netns", self._router)  # fmt: skip
            _ip(*where, "address", "add", f"{_NET}.{number}.2/24", "dev", inside)
            _ip(*where, "link", "set", inside, "up")
            _ip("-n", self._router, "address", "add", f"{_NET}.{number}.1/24", "dev", outside)
            _ip("-n", self._router, "link", "set", outside, "up")
            _ip(*where, "route", "add", f"{_NET}.0.0/16", "via", f"{_NET}.{number}.1")

    def _remove(self) -> None:
        """Removes what there is; interfaces and routes go with their namespace."""
        made = [self._router, *(f"{self._prefix}-{name}" for name in self._numbers)]
        for namespace in made:
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
