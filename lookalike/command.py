"""Starts a command: it prints under every encoding; Ctrl-C ends it with one line and status 130.

Imports next to nothing, so that both hold while all else is imported.
"""

from __future__ import annotations

import _thread
import io
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

INTERRUPTED = 130  # as shells count: 128 + SIGINT
# `timeout` signals a process and then its group; people who mean it twice take longer.
_SAME_SIGNAL_S = 0.5
_SOON_S = 0.05


def run_command(name: str, main: Callable[[], int]) -> int:
    """Runs a command; returns its exit status.

    Args:
        name: What its lines on stderr begin with.
        main: Imports the command and runs it; returns the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    interrupts = _Interrupts()
    interrupts.expect()
    try:
        return main()
    except BaseException as error:
        # Libraries may turn an interruption into errors of their own.
        if not (interrupts.came or isinstance(error, KeyboardInterrupt)):
            raise
        print(f"{name}: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    finally:
        interrupts.no_more()


class _Interrupts:
    """Raises KeyboardInterrupt for SIGINT, and knows that it did."""

    def __init__(self) -> None:
        self.came = False
        self._latest = float("-inf")
        self._before: Any = None
        self._hook = sys.unraisablehook

    def expect(self) -> None:
        """Begins, unless whoever started the process wants the signal to be ignored."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
            sys.unraisablehook = self._unraisable

    def no_more(self) -> None:
        """Ends: after an interruption nothing is left that another could interrupt."""
        if self._before:
            signal.signal(signal.SIGINT, signal.SIG_IGN if self.came else self._before)
            sys.unraisablehook = self._hook

    def _interrupt(self, *_: object) -> None:
        now = time.monotonic()
        if now - self._latest < _SAME_SIGNAL_S:
            return
        self.came = True
        self._latest = now
        raise KeyboardInterrupt

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raises it again where Python only prints it: in callbacks, of which imports have many."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._hook(unraisable)
            return
        self._latest = float("-inf")
        again = threading.Timer(_SOON_S, _signal_main_thread)
        again.daemon = True
        again.start()


def _signal_main_thread() -> None:
    main = threading.main_thread().ident
    if main and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)  # also ends what it waits for
    else:
        _thread.interrupt_main()
