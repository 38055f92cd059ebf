"""Structured logs: one JSON object per line on stderr, with the request id."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from lookalike import request_ids


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; `extra` becomes fields."""

    _STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "taskName"}

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line without a line end."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
        }
        if current := request_ids.current.get():
            line["request_id"] = current
        line |= {k: v for k, v in record.__dict__.items() if k not in self._STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure_logging(service: str, level: str) -> None:
    """Sends all logs of the process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
