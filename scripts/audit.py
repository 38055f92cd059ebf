"""Looks for known vulnerabilities in what constraints.txt pins, with pip-audit.

python -m scripts.audit                    ask PyPI
python -m scripts.audit --osv-url URL      ask an OSV service instead

Vulnerable packages fail it. Where the service cannot be reached, or does not know a package, it
says which audit was not done: that fails in GitHub Actions and nowhere else, since people also work
offline. pip-audit itself says "No known vulnerabilities found" of packages that nobody knows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
# Ids of vulnerabilities that do not concern us, each with the reason and when to judge it anew.
IGNORED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Findings:
    """What an audit found.

    Attributes:
        audited: How many packages the service knew.
        vulnerable: A line for each vulnerability.
        unknown: Packages that the service did not know, as `name: reason`.
        failure: Why there is no answer at all; empty if there is one.
    """

    audited: int = 0
    vulnerable: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failure: str = ""


def findings_of(report: Mapping[str, Any]) -> Findings:
    """Reads pip-audit's JSON."""
    packages = report["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    return Findings(
        audited=len(known),
        vulnerable=tuple(
            f"{package['name']} {package['version']}: {vulnerability['id']}, "
            f"mended in {', '.join(vulnerability['fix_versions']) or 'no release yet'}"
            for package in known
            for vulnerability in package["vulns"]
        ),
        unknown=tuple(
            f"{package['name']}: {package['skip_reason']}"
            for package in packages
            if "skip_reason" in package
        ),
    )


def audit(requirements: Path, osv_url: str = "") -> Findings:
    """Asks the service about each requirement, all of which must be pinned."""
    service = ["--vulnerability-service", "osv", "--osv-url", osv_url] if osv_url else []
    ignored = [flag for name in IGNORED for flag in ("--ignore-vuln", name)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(requirements)),
            # What is pinned is audited as it stands: nothing is installed or resolved.
            *("--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off"),
            *("--cache-dir", str(ROOT / "var/cache/pip-audit")),
            *service,
            *ignored,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return findings_of(json.loads(done.stdout))
    except json.JSONDecodeError:
        lines = done.stderr.strip().splitlines()
        return Findings(failure=lines[-1] if lines else f"pip-audit ended with {done.returncode}")


def verdict(findings: Findings, *, must_reach: bool) -> tuple[int, list[str]]:
    """Returns the exit status and what to print.

    Args:
        findings: What the audit found.
        must_reach: Whether packages that were not audited fail it.
    """
    lines = [f"vulnerable: {line}" for line in findings.vulnerable]
    if findings.failure:
        lines.append(f"audit NOT done, the service gave no answer: {findings.failure}")
    elif findings.unknown:
        total = findings.audited + len(findings.unknown)
        lines.append(
            f"audit NOT done for {len(findings.unknown)} of {total} packages, "
            f"such as {findings.unknown[0]}"
        )
    elif not findings.vulnerable:
        lines.append(f"no known vulnerability in {findings.audited} packages")
    missed = bool(findings.failure or findings.unknown)
    return int(bool(findings.vulnerable) or (missed and must_reach)), lines


def main(arguments: list[str]) -> int:
    """Audits and prints; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.audit")
    parser.add_argument("--osv-url", default="", help="an OSV service's address for queries")
    parser.add_argument("--requirements", type=Path, default=CONSTRAINTS)
    options = parser.parse_args(arguments)
    findings = audit(options.requirements, options.osv_url)
    status, lines = verdict(findings, must_reach=os.environ.get("GITHUB_ACTIONS") == "true")
    print(*lines, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
