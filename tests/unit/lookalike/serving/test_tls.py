"""Certificates of servers: how they are renewed, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lookalike.errors import StartupError
from lookalike.serving.setting_files import SettingFile
from lookalike.serving.tls import ServerTLS
from tests.certificates import Authority


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return Authority(tmp_path).issue("server")


def opened(certificate: Path, key: Path, client_ca: Path | None = None) -> ServerTLS:
    return ServerTLS(
        SettingFile("CERTIFICATE", certificate),
        SettingFile("KEY", key),
        SettingFile("CLIENT_CA", client_ca) if client_ca else None,
    )


def test_a_renewed_certificate_that_was_unreadable_for_a_moment_is_taken_up(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = opened(*files)
    old = tls.current.certificate
    Authority(tmp_path).issue("server")
    with monkeypatch.context() as patched:

        def read(file: SettingFile) -> bytes:
            raise PermissionError(f"{file} cannot be read")

        patched.setattr(SettingFile, "read", read)
        assert tls.latest().certificate == old
    assert tls.latest().certificate == files[0].read_bytes() != old


@pytest.mark.parametrize(
    ("days_left", "said"),
    [
        (-1, [("ERROR", "the certificate has ended")]),
        (9, [("WARNING", "the certificate ends soon")]),
        (11, []),
    ],
)
def test_it_is_said_when_a_certificate_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, days_left: int, said: list[tuple[str, str]]
) -> None:
    authority = Authority(tmp_path)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days_left)
    begins = ends - timedelta(days=100)

    def told() -> list[tuple[str, str]]:
        found = [record for record in caplog.records if record.levelname != "INFO"]
        assert all(record.ends == ends.isoformat() for record in found)  # type: ignore[attr-defined]
        return [(record.levelname, record.message) for record in found]

    tls = opened(*authority.issue("server", begins=begins, ends=ends))
    assert tls.ends == ends
    assert told() == said
    ends += timedelta(minutes=1)
    caplog.clear()
    authority.issue("server", begins=begins, ends=ends)
    assert tls.ends == ends
    assert told() == said


def test_a_certificate_ends_with_the_first_of_those_that_it_comes_with(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=11)
    sooner = authority.issue("other", ends=ends)[0]
    certificate, key = authority.issue("server")
    certificate.write_bytes(certificate.read_bytes() + sooner.read_bytes())
    assert opened(certificate, key).ends == ends


def test_half_of_a_renewal_is_not_taken(files: tuple[Path, Path], tmp_path: Path) -> None:
    tls = opened(*files)
    old = tls.current
    certificate, key = Authority(tmp_path / "other").issue("server")
    certificate.replace(files[0])
    assert tls.latest() is old
    key.replace(files[1])
    assert tls.latest().key == files[1].read_bytes() != old.key


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c, k: c.write_bytes(b""), "{c} must hold a certificate in PEM; it holds nothing"),
        (lambda c, k: c.write_bytes(b"\x30\x82"), "{c} must hold a certificate in PEM; it holds s"),
        (lambda c, k: c.write_bytes(k.read_bytes()), "{c} must hold a certificate in PEM; it hold"),
        (lambda c, k: k.write_bytes(b"\n"), "{k} must hold a private key in PEM; it holds nothing"),
        (lambda c, k: k.write_bytes(c.read_bytes()), "{k} must hold a private key in PEM; it hold"),
        (lambda c, k: k.unlink(), "{k} cannot be read: No such file or directory"),
        (lambda c, k: c.write_bytes(c.read_bytes()[:300]), "{c}"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name(
    files: tuple[Path, Path], spoil: Callable[[Path, Path], object], said: str
) -> None:
    certificate, key = files
    spoil(certificate, key)
    with pytest.raises(StartupError) as caught:
        opened(certificate, key)
    assert said.format(c=f"{certificate} (CERTIFICATE)", k=f"{key} (KEY)") in str(caught.value)


def test_swapped_files_are_told_by_what_they_hold(files: tuple[Path, Path]) -> None:
    with pytest.raises(StartupError) as caught:
        opened(files[1], files[0])
    assert str(caught.value).endswith("must hold a certificate in PEM; it holds a private key")


@pytest.mark.parametrize("mark", ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"])
def test_a_key_with_a_password_is_told_as_one(files: tuple[Path, Path], mark: str) -> None:
    files[1].write_text(f"-----{mark}-----\nBEGIN RSA PRIVATE KEY-----\n")
    with pytest.raises(StartupError, match=r"\(KEY\) holds a private key with a password"):
        opened(*files)


def test_authorities_may_have_words_in_any_language_beside_them(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes("# Größe\n".encode() + roots.read_bytes())
    assert opened(*files, roots).current.client_ca == roots.read_bytes()
    roots.write_bytes(b"")
    with pytest.raises(StartupError, match=r"roots.pem \(CLIENT_CA\) must hold a certificate"):
        opened(*files, roots)
