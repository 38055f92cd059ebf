"""The audit of dependencies, by the real pip-audit on a vulnerability service of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.audit import IGNORED, Findings, findings_of, main, verdict

VULNERABILITY = {
    "id": "GHSA-0000-0000-0000",
    "summary": "Lamps catch fire.",
    "details": "They do.",
    "affected": [
        {
            "package": {"name": "lamps", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]},
            ],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability, of the package `lamps`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = [VULNERABILITY] if asked["package"]["name"] == "lamps" else []
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audited(tmp_path: Path, url: str, *pins: str) -> int:
    file = tmp_path / "pins.txt"
    file.write_text("\n".join(pins), encoding="utf-8")
    return main(["--osv-url", url, "--requirements", str(file)])


def test_vulnerable_packages_fail_it_and_are_named(
    osv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited(tmp_path, osv, "lamps==1.0", "sofas==2.0") == 1
    out = capsys.readouterr().out
    assert out == "vulnerable: lamps 1.0: GHSA-0000-0000-0000, mended in 1.1\n"


def test_packages_without_vulnerabilities_pass(
    osv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited(tmp_path, osv, "sofas==2.0") == 0
    assert capsys.readouterr().out == "no known vulnerability in 1 packages\n"


def test_a_service_that_is_not_there_is_said_and_fails_in_github_actions_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        nowhere = f"http://127.0.0.1:{server.server_port}/v1/query"
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert audited(tmp_path, nowhere, "sofas==2.0") == 0
    assert capsys.readouterr().out.startswith("audit NOT done, the service gave no answer: ")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert audited(tmp_path, nowhere, "sofas==2.0") == 1


def test_packages_that_the_service_does_not_know_are_not_called_safe() -> None:
    report = {
        "dependencies": [
            {"name": "sofas", "version": "2.0", "vulns": []},
            {"name": "lamps", "skip_reason": "not found"},
        ]
    }
    findings = findings_of(report)
    assert findings == Findings(audited=1, unknown=("lamps: not found",))
    status, lines = verdict(findings, must_reach=False)
    assert (status, lines) == (0, ["audit NOT done for 1 of 2 packages, such as lamps: not found"])
    assert verdict(findings, must_reach=True)[0] == 1


def test_what_is_ignored_has_a_reason() -> None:
    assert all(IGNORED.values())
