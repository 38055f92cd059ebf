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
from lookalike.serving.setting_files import SettingFile


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def line(name: str, scopes: str, secret: str) -> str:
    return f"{name} {scopes} {hashlib.sha256(secret.encode()).hexdigest()}\n"


def named(path: Path) -> SettingFile:
    return SettingFile("ECHO_TOKENS", path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text("# who\n\n" + line("shop", "read,write", "secret"))
    return file


def test_a_token_is_known_by_its_digest_and_good_for_its_scopes(file: Path) -> None:
    guard = Guard(TokenFile(named(file)))
    assert guard.admit(Scope.READ, "Bearer secret", "::1") == "shop"
    assert guard.admit(Scope.WRITE, "bearer  secret ", "::1") == "shop"
    assert guard.admit(Scope.PUBLIC, "", "::1") == "::1"
    with pytest.raises(PermissionDeniedError, match="'shop' has read, write"):
        guard.admit(Scope.ADMIN, "Bearer secret", "::1")


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "secret",
        "Basic secret",
        "Bearer",
        "Bearer Secret",
        "Bearer a b",
        "Bearer secret, Bearer secret",
    ],
)
def test_nothing_else_is_a_token(file: Path, sent: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        Guard(TokenFile(named(file))).admit(Scope.READ, sent, "::1")
    assert "secret" not in caught.value.message.lower()


@pytest.mark.parametrize("sent", [("secret", "other"), ("other", "secret"), ("secret", "secret")])
def test_two_headers_are_no_token_whichever_is_good(file: Path, sent: tuple[str, str]) -> None:
    name = admin_pb2.DESCRIPTOR.services_by_name["EmbedderAdminService"].full_name
    access = RpcAccess(Guard(TokenFile(named(file))))
    access.add(name, {"ReloadModel": Scope.READ})

    def admit(*tokens: str) -> str:
        metadata = [("authorization", f"Bearer {token}") for token in tokens]
        return access.admit(f"/{name}/ReloadModel", metadata, "ipv4:127.0.0.1:1")

    assert admit("secret") == "shop"
    with pytest.raises(UnauthenticatedError, match="there once"):
        admit(*sent)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", "fe80::1%eth0"),
        ("unix:", "unix"),
        ("unix:/run/lookalike.sock", "unix"),
    ],
)
def test_a_caller_of_an_rpc_is_its_address_without_kind_and_port(peer: str, address: str) -> None:
    assert RpcAccess(Guard()).admit("/package.Service/Method", [], peer) == address


def test_without_a_file_everybody_may_do_everything() -> None:
    assert Guard().admit(Scope.ADMIN, "", "127.0.0.1") == "127.0.0.1"


def test_a_changed_file_is_read_again_and_a_bad_one_is_not_taken(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = TokenFile(named(file), clock)
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
    clock.now += 2
    assert tokens.find("new") is not None
    said = [record.message for record in caplog.records]
    assert said.count("new tokens refused") == 1, "it is said once"
    file.write_text("# none\n")
    clock.now += 2
    assert tokens.find("new") is not None
    file.unlink()
    clock.now += 2
    assert tokens.find("new") is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("shop read\n", "line 1 of {file} is no `NAME SCOPES SHA256`"),
        ("\nshop read in-plain-text-secret\n", "line 2 of {file} is no `NAME SCOPES SHA256`"),
        (line("a b", "read", "x"), "line 1 of {file} is no"),
        (line("shop", "reading", "x"), "{file} has the scope 'reading'; there are read, write"),
        (line("shop", "public", "x"), "line 1 of {file} has the scope 'public'"),
        (
            line("shop", "read", "x") + "\n" + line("other", "write", "x"),
            "lines 1 and 3 of {file} have the same token",
        ),
        ("", "{file} has no token"),
        ("# none yet\n\n", "{file} has no token"),
        (b"# in Latin-1: \xfc\nsh\xfcp read x\n", "line 2 of {file} is no"),
    ],
)
def test_bad_content_stops_the_start_without_being_shown(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    file = named(tmp_path / "tokens")
    file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StartupError) as caught:
        TokenFile(file)
    assert said.format(file=f"{tmp_path}/tokens (ECHO_TOKENS)") in str(caught.value)
    assert "plain-text" not in str(caught.value)


def test_a_mark_that_editors_write_first_is_no_part_of_a_name(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + line("shop", "read", "secret").encode())
    assert Guard(TokenFile(named(file))).admit(Scope.READ, "Bearer secret", "") == "shop"


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
    tokens = TokenFile(named(tmp_path / "tokens"))
    assert Guard(tokens).admit(Scope.WRITE, f"Bearer {token}", "") == "shop"
    wrong = subprocess.run([*command[:-1], "rw"], check=False, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "the new line has the scope 'rw'" in wrong.stderr
