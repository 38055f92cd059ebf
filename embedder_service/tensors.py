"""Tensors of the Open Inference Protocol: protos ↔ photos, vectors and classes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder_service.embedding import EmbeddedPhoto
from embedder_service.words import EmbeddedWords
from lookalike.errors import InvalidArgumentError
from lookalike.inference import open_inference_pb2 as pb
from lookalike.model.bundle import Manifest

INPUT = "image"
TEXT_INPUT = "text"
CLASSIFICATION = "classification"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class WantedOutput:
    """An output, and how many of its highest values are wanted as classes; 0 for its values."""

    name: str
    classes: int = 0


def elements(request: pb.ModelInferRequest, inputs: Sequence[str], most: int) -> Sequence[bytes]:
    """Returns the encoded photos or texts of a request.

    Args:
        request: One input, named as one of `inputs`.
        inputs: What the model takes.
        most: Most elements.

    Raises:
        InvalidArgumentError: The request is malformed.
    """
    names = [tensor.name for tensor in request.inputs]
    if names not in [[name] for name in inputs]:
        known = " or ".join(f"'{name}'" for name in inputs)
        raise InvalidArgumentError(
            f"inputs are {names or 'none'}; there must be one, named {known}", field="inputs"
        )
    (tensor,) = request.inputs
    if tensor.datatype != "BYTES":
        raise InvalidArgumentError(
            f"datatype is '{tensor.datatype}'; it must be BYTES, an encoded photo or a text an "
            "element",
            field="inputs[0].datatype",
        )
    shape = list(tensor.shape)
    count = shape[0] if shape else 0
    if shape not in ([count], [count, 1]) or not 1 <= count <= most:
        raise InvalidArgumentError(
            f"shape is {shape}; it must be [N] or [N, 1] with N from 1 to {most} "
            "(LOOKALIKE_EMBEDDER_MAX_BATCH_ITEMS)",
            field="inputs[0].shape",
        )
    raw = request.raw_input_contents
    if raw and (len(raw) != 1 or tensor.HasField("contents")):
        raise InvalidArgumentError(
            f"{len(raw)} raw contents; there must be one for the one input, and no other contents",
            field="raw_input_contents",
        )
    found = list(_elements(raw[0])) if raw else list(tensor.contents.bytes_contents)
    if len(found) != count:
        raise InvalidArgumentError(
            f"{len(found)} elements, but the shape is {shape}",
            field="raw_input_contents[0]" if raw else "inputs[0].contents",
        )
    return found


def _elements(raw: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(raw):
        body = start + _LENGTH.size
        length = _LENGTH.unpack_from(raw, start)[0] if body <= len(raw) else None
        if length is None or body + length > len(raw):
            raise InvalidArgumentError(
                f"the element at byte {start} ends beyond the {len(raw):,} bytes; each element "
                "follows its length as 4 bytes, little-endian",
                field="raw_input_contents[0]",
            )
        yield raw[body : body + length]
        start = body + length


def texts(sent: Sequence[bytes]) -> list[str]:
    """Returns texts; raises InvalidArgumentError naming the first that is not UTF-8."""
    found = []
    for number, element in enumerate(sent):
        try:
            found.append(element.decode())
        except UnicodeDecodeError:
            raise InvalidArgumentError(
                f"element {number} of {len(sent)} is not UTF-8", field=f"{TEXT_INPUT}[{number}]"
            ) from None
    return found


def wanted_outputs(request: pb.ModelInferRequest) -> list[WantedOutput]:
    """Returns the outputs asked for; InvalidArgumentError for a bad `classification`."""
    wanted = []
    for number, output in enumerate(request.outputs):
        classes = 0
        if CLASSIFICATION in output.parameters:
            given = output.parameters[CLASSIFICATION]
            classes = given.int64_param or given.uint64_param
            if classes < 1:
                shown = str(given).strip() or "not set"
                raise InvalidArgumentError(
                    f"{CLASSIFICATION} is {shown}; it must be an integer from 1",
                    field=f"outputs[{number}].parameters",
                )
        wanted.append(WantedOutput(output.name, classes))
    return wanted


def response(
    request: pb.ModelInferRequest,
    wanted: Sequence[WantedOutput],
    photos: Sequence[EmbeddedPhoto | EmbeddedWords],
) -> pb.ModelInferResponse:
    """Returns the answer, its tensors raw if those of the request were."""
    manifest = photos[0].manifest
    answer = pb.ModelInferResponse(
        model_name=manifest.name,
        model_version=manifest.version,
        id=request.id,
        parameters={"embedding_space": pb.InferParameter(string_param=manifest.embedding_space)},
    )
    raw = bool(request.raw_input_contents)
    for output in wanted or [WantedOutput(name) for name in photos[0].vectors]:
        values = np.stack([photo.vectors[output.name] for photo in photos]).astype("<f4")
        tensor = answer.outputs.add(name=output.name)
        if output.classes:
            rows = [_classes(row, output, manifest) for row in values]
            tensor.datatype, shape = "BYTES", (len(rows), len(rows[0]))
            elements = [text for row in rows for text in row]
            if raw:
                packed = (_LENGTH.pack(len(text)) + text for text in elements)
                answer.raw_output_contents.append(b"".join(packed))
            else:
                tensor.contents.bytes_contents.extend(elements)
        else:
            tensor.datatype, shape = "FP32", values.shape
            if raw:
                answer.raw_output_contents.append(values.tobytes())
            else:
                tensor.contents.fp32_contents.extend(values.ravel().tolist())
        tensor.shape.extend(shape)
    return answer


def _classes(values: NDArray[np.float32], output: WantedOutput, manifest: Manifest) -> list[bytes]:
    """Returns the highest values as Triton writes them: `value:index`, and `:label` if any."""
    kind = next(known.kind for known in manifest.outputs if known.name == output.name)
    labels = manifest.labels if kind == "logits" else ()
    best = np.argsort(-values, kind="stable")[: output.classes].tolist()
    texts = (f"{values[index]:f}:{index}" for index in best)
    if labels:
        texts = (f"{text}:{labels[index]}" for text, index in zip(texts, best, strict=True))
    return [text.encode() for text in texts]
