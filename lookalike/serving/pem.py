"""Certificates and keys of PEM files in a TLS context; says of bad ones what is wrong with them."""

from __future__ import annotations

import ssl
from datetime import datetime

from asn1crypto import pem, x509

from lookalike.serving.setting_files import SettingFile

_KINDS = {"certificate": b"BEGIN CERTIFICATE-----", "private key": b"PRIVATE KEY-----"}
_PASSWORDS = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


def show(
    context: ssl.SSLContext, certificate: SettingFile, key: SettingFile
) -> tuple[bytes, bytes]:
    """Has a context show a certificate; returns what both files hold.

    Args:
        context: The context.
        certificate: The certificate, followed by those between it and its authority.
        key: Its private key, without a password.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is no good, or they do not fit together.
    """
    contents = certificate.read(), key.read()
    _expect("certificate", certificate, contents[0])
    _expect("private key", key, contents[1])
    if any(mark in contents[1] for mark in _PASSWORDS):
        raise ValueError(f"{key} holds a private key with a password; it must be without one")
    try:
        # Without an answer, a password's prompt would stop the service.
        context.load_cert_chain(certificate.path, key.path, password=lambda: "")
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise ValueError(f"{key} is not the key of the certificate in {certificate}") from None
        raise ValueError(f"{certificate} and {key} cannot be used: {_words(error)}") from None
    return contents


def trust(context: ssl.SSLContext, authorities: SettingFile) -> bytes:
    """Has a context trust the authorities of a file alone; returns what it holds.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no good.
    """
    content = authorities.read()
    _expect("certificate", authorities, content)
    try:
        context.load_verify_locations(authorities.path)
    except ssl.SSLError as error:
        raise ValueError(f"{authorities} cannot be used: {_words(error)}") from None
    return content


def first_to_end(file: SettingFile, content: bytes) -> tuple[datetime, datetime]:
    """Returns when that certificate of a file begins and ends which ends before the others.

    Raises:
        ValueError: One of them is no good.
    """
    try:
        chain = [
            x509.Certificate.load(encoded)
            for kind, _, encoded in pem.unarmor(content, multiple=True)
            if kind == "CERTIFICATE"
        ]
        return min(
            ((each.not_valid_before, each.not_valid_after) for each in chain),
            key=lambda times: times[1],
        )
    except ValueError as error:
        raise ValueError(f"{file} cannot be used: {str(error).splitlines()[0]}") from None


def _expect(kind: str, file: SettingFile, content: bytes) -> None:
    held = [each for each, mark in _KINDS.items() if mark in content]
    if kind not in held:
        found = f"a {held[0]}" if held else "something else" if content.strip() else "nothing"
        raise ValueError(f"{file} must hold a {kind} in PEM; it holds {found}")


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
