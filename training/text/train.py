"""Trains the text tower of a run: words of listings → the outputs that its photos have.

A text run's directory holds config.json, data.json, TensorBoard logs, checkpoints/, and finally
tokenizer.json, encoder.json (the language model's architecture), model.safetensors with the weights
of the best epoch, and run.json, which marks a complete run.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from lookalike.files import read_json, write_json
from lookalike.model.bundle import WEIGHTS, sha256_of
from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.text import TextTokenizer, batch_of
from training.config import CATEGORY_OUTPUT, FEATURES_OUTPUT, TrainConfig
from training.errors import TrainingError
from training.evaluate import load_run
from training.judging import predictions_of_run
from training.model import outputs_of
from training.prepare import Prepared, check_same_data, load_prepared
from training.text.config import TextConfig
from training.text.data import OfLikeLength, TextDataset, Texts, collate, texts_of
from training.text.encoder import load_encoder, untrained_encoder
from training.text.objective import TextModule
from training.text.word_counts import fit_word_counts
from training.train import load_best, save_weights
from training.trainer import Hardware, checkpoints, fit, make_trainer

ENCODER = "encoder.json"
TOKENIZER = "tokenizer.json"
PHOTOS = "photos_run_sha256"
_BATCH = 64


def train_text(
    data: Path, run: Path, out: Path, config: TextConfig, hardware: Hardware | None = None
) -> dict[str, Any]:
    """Trains or resumes a text run and returns its report; that of a complete run at once.

    Args:
        data: The prepared data set that the run was trained on.
        run: The complete run of the photos' network.
        out: The text run's directory.
        config: The settings; an existing text run must have the same.
        hardware: The hardware to use.

    Raises:
        TrainingError: Something is missing, or `out` was begun with something else.
    """
    hardware = hardware or Hardware()
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    labels = TrainConfig.load(run / "config.json").labels
    prepared = load_prepared(data).labelled(labels)
    check_same_data(prepared, run, "give the data set that it was trained on")
    photos_config, photos = load_run(run, len(prepared.categories))
    if (out / "config.json").exists():
        config.check_same(TextConfig.load(out / "config.json"), out / "config.json")
    _check_same_photos(run, out)
    if (out / "run.json").exists():
        return dict(read_json(out / "run.json", "a text run's report"))
    encoder = load_encoder(config.encoder)
    out.mkdir(parents=True, exist_ok=True)
    config.save(out / "config.json")
    write_json(out / "data.json", prepared.identity | {PHOTOS: sha256_of(run / WEIGHTS)})
    encoder.model.config.to_json_file(out / ENCODER)
    shutil.copyfile(encoder.tokenizer, out / TOKENIZER)

    texts = texts_of(prepared, TextTokenizer(out / TOKENIZER, config.max_tokens))
    torch.manual_seed(config.seed)
    outputs = outputs_of(photos_config, len(prepared.categories))
    network = TextNetwork(encoder.model, outputs, config.dropout)
    training, validation = _loaders(texts, config, prepared)
    known = prepared.photos["split"].to_numpy().astype(np.str_) == "train"
    seen = predictions_of_run(photos, photos_config, prepared, known)
    row = {product: number for number, product in enumerate(texts.products.tolist())}
    owners = torch.tensor([row[product] for product in seen.listings.tolist()])
    features = seen.outputs.get(FEATURES_OUTPUT, np.zeros((0, 1), np.float32))
    module = TextModule(
        network, texts, torch.tensor(features), owners, config, config.epochs * len(training)
    )
    checkpoint = checkpoints(out)
    trainer = make_trainer(out, hardware, checkpoint, epochs=config.epochs)
    started = time.monotonic()
    fit(trainer, module, training, validation, out)
    best_epoch = load_best(network, checkpoint.best_model_path)
    report: dict[str, Any] = {
        "epochs": trainer.current_epoch,
        "best_epoch": best_epoch,
        "validation_accuracy": float(checkpoint.best_model_score or 0.0),
    }
    if config.count_words:
        rows = [texts.whole[number] for number in texts.rows("validation")]
        said = text_outputs(network, rows)[CATEGORY_OUTPUT]
        counted = fit_word_counts(
            network,
            texts,
            said,
            inverse=config.count_words,
            spread=float(seen.logits.std()) or 1.0,
        )
        if counted is not None:
            report["word_counts"] = dataclasses.asdict(counted)
            report["validation_accuracy"] = counted.accuracy
    report["seconds"] = round(time.monotonic() - started, 1)
    save_weights(network, out / WEIGHTS)
    write_json(out / "run.json", report)
    shutil.rmtree(out / "checkpoints")
    return report


def load_text_run(out: Path, run: Path, classes: int) -> tuple[TextNetwork, TextTokenizer]:
    """Loads a complete text run.

    Args:
        out: The text run.
        run: The run of the photos' network that it was trained beside.
        classes: Number of categories.

    Raises:
        TrainingError: It is incomplete, or was trained beside another.
    """
    config = TextConfig.load(out / "config.json")
    read_json(out / "run.json", "a complete text run; run `training train-text`")
    _check_same_photos(run, out)
    outputs = outputs_of(TrainConfig.load(run / "config.json"), classes)
    network = TextNetwork(untrained_encoder(out / ENCODER), outputs, config.dropout)
    try:
        network.load_state_dict(load_file(out / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"{out / WEIGHTS}: not the weights of this run: {reason}") from None
    return network.eval(), TextTokenizer(out / TOKENIZER, config.max_tokens)


def text_outputs(network: TextNetwork, rows: list[list[int]]) -> dict[str, NDArray[np.float32]]:
    """Returns each output by name, of shape (texts, dimension).

    Args:
        network: The tower.
        rows: Tokens of each text.
    """
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    found = {
        output.name: np.zeros((len(rows), output.dimension), np.float32)
        for output in network.outputs
    }
    network = network.eval()
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            tokens = batch_of([rows[row] for row in some])
            values = network(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask))
            for name, vectors in values.items():
                found[name][some] = vectors.numpy()
    return found


def _loaders(
    texts: Texts, config: TextConfig, prepared: Prepared
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    rows = {split: texts.rows(split) for split in ("train", "validation")}
    for split, found in rows.items():
        if not len(found):
            raise TrainingError(f"{prepared.path}: the {split} split holds no listing")
    training = TextDataset(texts, rows["train"], config.title_alone)
    validation = TextDataset(texts, rows["validation"])

    def loader(dataset: TextDataset) -> DataLoader[Any]:
        batches = OfLikeLength(dataset, config.batch_size, config.seed)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate)

    return loader(training), loader(validation)


def _check_same_photos(run: Path, out: Path) -> None:
    """Raises TrainingError if a text run was trained beside another network of photos."""
    file = out / "data.json"
    if not file.exists():
        return
    if read_json(file, "a text run's data").get(PHOTOS) != sha256_of(run / WEIGHTS):
        raise TrainingError(
            f"{file}: the text run was started beside another run than {run}; give that one, or "
            "use another --out"
        )
