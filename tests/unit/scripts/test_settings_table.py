from __future__ import annotations

from scripts.settings_table import FILE, render


def test_configuration_page_is_what_the_settings_classes_give() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), "stale; run `make docs`"


def test_defaults_do_not_depend_on_the_machine() -> None:
    assert "| `LOOKALIKE_EMBEDDER_INFERENCE_THREADS` | `0` |" in render()
