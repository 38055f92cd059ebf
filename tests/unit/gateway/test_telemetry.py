"""What of HTTP is a call, and which of them have failed."""

from __future__ import annotations

import grpc
import pytest

from gateway.http.access import SCOPES
from gateway.http.problems import status_of
from gateway.telemetry import CALLS
from lookalike.errors import ForeignError, StorageFullError
from lookalike.serving import failures
from lookalike.serving.access import Scope


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
def test_what_failed_over_grpc_has_failed_over_http_and_nothing_else(code: grpc.StatusCode) -> None:
    status = status_of(ForeignError("no", code=code))
    assert (status in failures.HTTP_STATUSES) == (code.name in failures.STATUSES)


def test_a_full_disk_is_no_failure_over_http_either() -> None:
    assert status_of(StorageFullError("full")) not in failures.HTTP_STATUSES


def test_calls_are_what_not_everybody_may_do() -> None:
    for (method, path), scope in SCOPES.items():
        assert path.startswith(CALLS) == (scope is not Scope.PUBLIC), (method, path)
