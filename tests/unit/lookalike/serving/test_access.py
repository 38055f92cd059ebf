"""Tokens, scopes and rates, without a server."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.embedder.v1 import admin_pb2
from lookalike.errors import (
    PermissionDeniedError,
    RateLimitedError,
    StartupError,
    UnauthenticatedError,
)
from lookalike.serving.access import Guard, RateLimiter, Scope, TokenFile
from lookalike.serving.rpc_access import RpcAccess


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def line(name: str, scopes: str, secret: str) -> str:
    return f"{name} {scopes} {hashlib.sha256(secret.encode()).hexdigest()}\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text("# who\n\n" + line("shop", "read,write", "secret"))
    return file


def test_a_token_is_known_by_its_digest_and_good_for_its_scopes(file: Path) -> None:
    guard = Guard(TokenFile(file))
    assert guard.admit(Scope.READ, "Bearer secret", "::1") == "shop"
    assert guard.admit(Scope.WRITE, "bearer  secret ", "::1") == "shop"
    assert guard.admit(Scope.PUBLIC, "", "::1") == "::1"
    with pytest.raises(PermissionDeniedError, match="'shop' has read, write"):
        guard.admit(Scope.ADMIN, "Bearer secret", "::1")


@pytest.mark.parametrize(
    "sent", ["", "secret", "Basic secret", "Bearer", "Bearer Secret", "Bearer a b"]
)
def test_nothing_else_is_a_token(file: Path, sent: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        Guard(TokenFile(file)).admit(Scope.READ, sent, "::1")
    assert "secret" not in caught.value.message.lower()


def test_without_a_file_everybody_may_do_everything() -> None:
    assert Guard().admit(Scope.ADMIN, "", "127.0.0.1") == "127.0.0.1"


def test_a_changed_file_is_read_again_and_a_bad_one_is_not_taken(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = TokenFile(file, clock)
    file.write_text(line("other", "read", "new"))
    assert tokens.find("new") is None  # not looked at again yet
    clock.now += 2
    found = tokens.find("new")
    assert found is not None
    assert found.name == "other"
    assert tokens.find("secret") is None
    file.write_text("other read not-a-digest\n")
    clock.now += 2
    assert tokens.find("new") is not None
    assert any("new tokens refused" in record.message for record in caplog.records)
    file.unlink()
    clock.now += 2
    assert tokens.find("new") is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("shop read\n", "tokens:1 is no `NAME SCOPES SHA256`"),
        ("\nshop read in-plain-text-secret\n", "tokens:2 is no `NAME SCOPES SHA256`"),
        (line("a b", "read", "x"), "tokens:1 is no"),
        (line("shop", "reading", "x"), "tokens:1 has the scope 'reading'; there are read, write"),
        (line("shop", "public", "x"), "tokens:1 has the scope 'public'"),
    ],
)
def test_a_bad_line_stops_the_start_without_being_shown(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(StartupError) as caught:
        TokenFile(tmp_path / "tokens")
    assert said in str(caught.value)
    assert "plain-text" not in str(caught.value)


def test_a_client_may_send_a_seconds_worth_at_once_and_then_at_its_rate(clock: Clock) -> None:
    limiter = RateLimiter(10, clock)
    assert [limiter.wait_s("a") for _ in range(10)] == [0.0] * 10
    assert limiter.wait_s("a") == pytest.approx(0.1)
    assert limiter.wait_s("b") == 0.0  # a share of its own
    clock.now += 0.1
    assert limiter.wait_s("a") == 0.0
    with pytest.raises(
        RateLimitedError, match="'a' sends more than 10 requests a second"
    ) as caught:
        limiter.check("a")
    assert caught.value.retry_after_ms == 100
    clock.now += 60  # no more than a second's worth is saved up
    assert sum(limiter.wait_s("a") == 0.0 for _ in range(20)) == 10


def test_a_rate_below_one_a_second_is_one_now_and_then(clock: Clock) -> None:
    limiter = RateLimiter(0.1, clock)
    assert limiter.wait_s("a") == 0.0
    assert limiter.wait_s("a") == pytest.approx(10)


def test_what_has_no_scope_does_not_start() -> None:
    name = admin_pb2.DESCRIPTOR.services_by_name["EmbedderAdminService"].full_name
    with pytest.raises(ValueError, match="differ in \\['ReloadModel'\\]"):
        RpcAccess(Guard()).add(name, {})
    with pytest.raises(ValueError, match="differ in \\['Other'\\]"):
        RpcAccess(Guard()).add(name, {"ReloadModel": Scope.ADMIN, "Other": Scope.READ})


def test_the_command_makes_a_token_that_its_line_knows(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lookalike.serving.tokens", "shop", "read,write"]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    (tmp_path / "tokens").write_text(made.stdout)
    token = made.stderr.strip()
    assert token not in made.stdout
    assert Guard(TokenFile(tmp_path / "tokens")).admit(Scope.WRITE, f"Bearer {token}", "") == "shop"
    wrong = subprocess.run([*command[:-1], "rw"], check=False, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "the new line has the scope 'rw'" in wrong.stderr
