"""A name server on loopback that answers one name with the addresses that it is told.

gRPC asks it for `dns://ADDRESS/NAME:PORT`, so no file of this machine is changed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_A, _TTL_S = 1, 0
_HEADER = 12


class NameServer:
    """Answers every question for IPv4 addresses alike, over UDP; use as a context manager.

    Attributes:
        addresses: What it answers; may be changed at any time.
        questions: How many it has answered so.
    """

    def __init__(self) -> None:
        self.addresses: Sequence[str] = ()
        self.questions = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def target(self, port: int) -> str:
        """Returns gRPC's target of the name, with the port of the servers behind it."""
        return f"dns://127.0.0.1:{self._socket.getsockname()[1]}/embedders.test:{port}"

    def _serve(self) -> None:
        while True:
            question, caller = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), caller)

    def _answer(self, message: bytes) -> bytes:
        """Returns the answer, by RFC 1035; none to a question for anything but A."""
        end = message.index(b"\0", _HEADER) + 1
        kind = int.from_bytes(message[end : end + 2])
        question = message[_HEADER : end + 4]
        addresses = self.addresses if kind == _A else ()
        self.questions += kind == _A
        # An answer, that recursion is there, no error; one question, and the answers.
        counts = b"\0\1" + len(addresses).to_bytes(2) + b"\0\0\0\0"
        records = b"".join(
            b"\xc0\x0c\0\1\0\1" + _TTL_S.to_bytes(4) + b"\0\4" + socket.inet_aton(address)
            for address in addresses
        )
        return message[:2] + b"\x81\x80" + counts + question + records
