"""How large the web page's first view is, as a browser fetches it."""

from __future__ import annotations

import shutil

from benchmarks.report import Figure
from lookalike.serving.local_stack import ServiceProcess

_NAME = "the page's first view"


def first_view(gateway: ServiceProcess) -> Figure:
    """Returns the bytes of all that a browser loads before anything is done on the page."""
    browser = shutil.which("chromium")
    if browser is None:
        return Figure(_NAME, float("nan"), "KB", at_most=100, note="there is no chromium here")
    from playwright.sync_api import Response, sync_playwright

    answers: list[Response] = []

    def remember(answer: Response) -> None:  # Playwright marks what it calls, and cannot a method
        answers.append(answer)

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.on("response", remember)
        page.goto(f"http://{gateway.announced('serving http')}/", wait_until="networkidle")
        size = sum(len(answer.body()) for answer in answers)
        chromium.close()
    note = f"{len(answers)} requests"
    return Figure(_NAME, size / 1000, "KB", at_most=100, note=note)
