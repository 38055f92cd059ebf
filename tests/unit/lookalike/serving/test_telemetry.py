"""One line of JSON for each record."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lookalike import request_ids
from lookalike.errors import StartupError
from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.telemetry import JsonFormatter, Telemetry


def formatted(**extra: Any) -> dict[str, Any]:
    record = logging.getLogger("x").makeRecord(
        "x", logging.WARNING, "f.py", 1, "hello %s\nworld", ("ü",), None, extra=extra
    )
    line = JsonFormatter("embedder").format(record)
    assert "\n" not in line
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture
def request_id() -> Iterator[str]:
    token = request_ids.current.set("abc")
    yield "abc"
    request_ids.current.reset(token)


def test_line_has_time_level_service_and_event() -> None:
    line = formatted()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "warning", "service": "embedder", "event": "hello ü\nworld"}


def test_extra_becomes_fields_whatever_its_type() -> None:
    line = formatted(count=3, place=re.compile("x"), ready={"index": True})
    assert (line["count"], line["ready"]) == (3, {"index": True})
    assert line["place"] == "re.compile('x')"


def test_request_id_is_in_the_line_of_its_request_only(request_id: str) -> None:
    assert formatted()["request_id"] == request_id


def test_without_a_request_there_is_no_request_id() -> None:
    assert "request_id" not in formatted()


def test_exception_has_its_traceback_in_the_same_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f.py", 1, "failed", (), sys.exc_info()
        )
    line = JsonFormatter("x").format(record)
    assert "\n" not in line
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("ValueError: broken")


def test_request_ids_are_32_hexadecimal_digits_and_new_each_time() -> None:
    ids = {request_ids.new() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", i) for i in ids)


def test_configured_process_logs_warnings_and_levels_as_json_on_stderr() -> None:
    code = (
        "import logging, warnings; from lookalike.serving.telemetry import configure_logging as c;"
        "c('x', 'info'); logging.debug('low'); logging.info('high'); warnings.warn('odd')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning"]
    assert lines[0]["event"] == "high"
    assert "odd" in lines[1]["event"]


@pytest.mark.parametrize(
    "endpoint",
    ["http://[::1", "http://host:notaport", "http://a b/c", "http://host", "ftp://h:1", "x" * 999],
)
def test_endpoint_of_a_collector_that_is_no_address_is_named(endpoint: str) -> None:
    with pytest.raises(StartupError) as caught:
        Telemetry.of(ServerSettings(traces_endpoint=endpoint), "LOOKALIKE_INDEX_")
    words = str(caught.value)
    assert words.startswith(f"LOOKALIKE_INDEX_TRACES_ENDPOINT is wrong: '{endpoint[:200]}")
    assert words.endswith("' must be http://host:port or https://host:port")
    assert len(words) < 400
