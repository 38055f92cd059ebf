"""Who the gateway is to its upstreams: the files, what is said of bad ones, and their renewal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import identity as identity_module
from gateway.identity import Identity
from lookalike.errors import StartupError
from tests.certificates import Authority


def identity(**files: Path) -> Identity:
    names = ("ca", "certificate", "key", "token")
    return Identity(**{name: str(files.get(name, "")) for name in names})


@pytest.mark.parametrize(
    ("argument", "content", "said"),
    [
        ("token", b"", "must hold one token, of printable ASCII, and nothing else"),
        ("token", b"a\x01b", "must hold one token"),
        ("token", b"two words", "must hold one token"),
        ("token", "größe".encode(), "must hold one token"),
        ("token", b"\xff\xfe", "must hold one token"),
        ("token", None, "cannot be read: No such file or directory"),
        ("ca", b"", "must hold a certificate in PEM; it holds no"),
        ("ca", None, "cannot be read: No such file"),
    ],
)
def test_a_bad_file_stops_the_start_naming_it_and_its_variable(
    tmp_path: Path, argument: str, content: bytes | None, said: str
) -> None:
    file = tmp_path / argument
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartupError) as caught:
        identity(**{argument: file})
    assert f"{file} (LOOKALIKE_GATEWAY_UPSTREAM_{argument.upper()}) {said}" in str(caught.value)


def test_a_mark_that_editors_write_first_is_no_part_of_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbfsecret\r\n")
    token = identity(token=file).token
    assert token is not None
    assert token() == "secret"


def test_a_renewed_token_is_taken_and_a_bad_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    found = identity(token=file)
    token = found.token
    assert token is not None
    for content, expected in (("", "first"), ("second", "second")):
        file.write_text(content)
        assert not found.look(), "channels stay"
        assert token() == expected


async def test_channels_are_opened_anew_until_it_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway")
    found = identity(ca=authority.roots, certificate=certificate, key=key)
    assert not found.look()
    authority.issue("gateway")
    monkeypatch.setattr(identity_module, "_LOOK_EVERY_S", 0.01)
    tries = 0
    again = asyncio.Event()

    async def changed() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise FileNotFoundError("gone again")
        again.set()

    watching = asyncio.create_task(found.watch(changed))
    async with asyncio.timeout(30):
        await again.wait()
    await asyncio.sleep(0.05)
    watching.cancel()
    assert tries == 2
