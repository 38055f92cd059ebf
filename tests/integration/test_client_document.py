"""Every block of Python in docs/client.md, in its order, on real services."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from lookalike.serving.local_stack import LocalStack
from tests.conftest import DrawPhoto

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "client.md"


def test_blocks_of_the_document_run(
    reading_stack: LocalStack,
    draw_photo: DrawPhoto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = reading_stack
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(draw_photo(7000 + number))
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text(encoding="utf-8")
    # Here the services have other ports.
    gateway, embedder = stack.address("gateway"), stack.address("embedder_service")
    text = text.replace("127.0.0.1:50050", gateway).replace("127.0.0.1:50051", embedder)
    text = text.replace("127.0.0.1:50052", stack.address("index_service"))
    text = text.replace("Client(timeout", f'Client("{gateway}", timeout')
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == text.count("```python") > 10

    names: dict[str, Any] = {}
    with asyncio.Runner() as runner:
        for block in blocks:
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            answer = eval(compile(block, str(DOCUMENT), "exec", flags=flags), names)
            if inspect.iscoroutine(answer):
                runner.run(answer)
    names["client"].close()
    assert len(names["vectors"]) == 3
    assert names["failed"] == {}
    assert names["matrix"].shape == (3, 13)
