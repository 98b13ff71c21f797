"""Tensors of the Open Inference Protocol, as JSON and as bytes behind it, both ways.

A text of BYTES is its length in four little-endian bytes, then UTF-8. A body whose tensors are bytes says in
the header Inference-Header-Content-Length where its JSON ends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.responses import Response

from ecgray.service.bodies import parsed
from ecgray.service.core import json_answer
from ecgray.service.problems import Problem
from ecgray.service.settings import ServiceSettings

JSON_ENDS = "inference-header-content-length"
_WIDTHS: dict[str, np.dtype[Any]] = {"INT16": np.dtype("<i2"), "FP32": np.dtype("<f4")}
_MOST_TEXTS = ServiceSettings.queries
"""Of one tensor, whatever it is for."""
_MOST_INPUTS = 8
_LONGEST_ID = 200


@dataclass(frozen=True)
class Tensor:
    """One input."""

    datatype: str
    shape: tuple[int, ...]
    value: np.ndarray | list[str]


@dataclass(frozen=True)
class Inference:
    """A request: its tensors, what it says beside them, and which outputs it wants as bytes."""

    id: str | None
    tensors: dict[str, Tensor]
    parameters: dict[str, Any]
    outputs: dict[str, bool]
    """Each output that is asked for, and whether as bytes; none asked: all."""

    def tensor(self, name: str, *kinds: str) -> Tensor:
        """An input, of one of these datatypes. Raises `Problem`."""
        if name not in self.tensors:
            raise Problem(422, "param_missing", f"The input {name} is missing.", field=name)
        if self.tensors[name].datatype not in kinds:
            raise Problem(415, "dtype_unsupported", f"The input {name} must be {' or '.join(kinds)}.", field=name)
        return self.tensors[name]


def read_inference(
    content: bytes,
    header: str | None,
    settings: ServiceSettings,
    *,
    inputs: frozenset[str],
    outputs: frozenset[str],
    parameters: frozenset[str],
) -> Inference:
    """A body's request. Raises `Problem`, for an input, output or parameter that this model does not have, too."""
    end = len(content)
    if header is not None:
        if not (header.isascii() and header.isdigit() and len(header) < 10) or int(header) > len(content):
            raise Problem(400, "json_invalid", "Inference-Header-Content-Length is not where the JSON ends.")
        end = int(header)
    body = parsed(content[:end], settings)
    given_inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(given_inputs, list) or not 1 <= len(given_inputs) <= _MOST_INPUTS:
        raise Problem(422, "param_missing", f"inputs must be a list of 1 to {_MOST_INPUTS} tensors.", field="inputs")
    rest = memoryview(content)[end:]
    found: dict[str, Tensor] = {}
    for number, given in enumerate(given_inputs):
        field = f"inputs[{number}]"
        name, tensor, used = _tensor(given, rest, field)
        _refuse_unless_new(name, found, inputs, field)
        found[name], rest = tensor, rest[used:]
    if len(rest):
        raise Problem(422, "shape_mismatch", "There are more binary bytes than the inputs say.", field="inputs")
    own = _object(body, "parameters", "parameters")
    if not own.keys() <= parameters | {"binary_data_output"}:
        raise Problem(
            422,
            "param_unknown",
            f"A parameter is not known; this model takes {', '.join(sorted(parameters | {'binary_data_output'}))}.",
            field="parameters",
        )
    own_id = body.get("id")
    if own_id is not None and not (isinstance(own_id, str) and len(own_id) <= _LONGEST_ID):
        raise Problem(422, "param_invalid", f"id is no text of at most {_LONGEST_ID} letters.", field="id")
    return Inference(own_id, found, own, _outputs(body, own, outputs))


def _object(given: dict[str, Any], name: str, field: str) -> dict[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, dict):
        raise Problem(422, "param_invalid", "parameters must be an object.", field=field)
    return found


def _refuse_unless_new(name: str, seen: Mapping[str, object], known: frozenset[str], field: str) -> None:
    if name not in known:
        raise Problem(
            422,
            "param_unknown",
            f"This model has no tensor of that name; it has {', '.join(sorted(known))}.",
            field=field,
        )
    if name in seen:
        raise Problem(422, "param_invalid", "A tensor of this name stands twice.", field=field)


def _outputs(body: dict[str, Any], own: dict[str, Any], known: frozenset[str]) -> dict[str, bool]:
    asked, everywhere = body.get("outputs", []), own.get("binary_data_output", False)
    if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
        raise Problem(422, "param_invalid", "outputs must be a list of objects.", field="outputs")
    if not isinstance(everywhere, bool):
        raise Problem(422, "param_invalid", "binary_data_output is true or false.", field="parameters")
    found: dict[str, bool] = {}
    for number, each in enumerate(asked):
        field, name = f"outputs[{number}]", each.get("name")
        if not isinstance(name, str):
            raise Problem(422, "param_missing", "An output has no name.", field=field)
        _refuse_unless_new(name, found, known, field)
        in_bytes = _object(each, "parameters", field).get("binary_data", everywhere)
        if not isinstance(in_bytes, bool):
            raise Problem(422, "param_invalid", "binary_data is true or false.", field=field)
        found[name] = in_bytes
    return found or dict.fromkeys(known, everywhere)


def _tensor(given: Any, rest: memoryview, field: str) -> tuple[str, Tensor, int]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise Problem(422, "param_missing", "An input has no name.", field=field)
    kind, shape = given.get("datatype"), given.get("shape")
    if not isinstance(kind, str) or (kind != "BYTES" and kind not in _WIDTHS):
        raise Problem(415, "dtype_unsupported", "An input is none of INT16, FP32 and BYTES.", field=field)
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 3
        or not all(type(n) is int and 0 < n <= 10**7 for n in shape)
    ):
        raise Problem(
            422, "shape_mismatch", "An input's shape is no list of 1 to 3 whole numbers above 0.", field=field
        )
    size = _object(given, "parameters", field).get("binary_data_size")
    count = math.prod(shape)
    if kind == "BYTES" and count > _MOST_TEXTS:
        raise Problem(422, "query_count", f"An input of BYTES has more than {_MOST_TEXTS} texts.", field=field)
    if size is None:
        return given["name"], Tensor(kind, tuple(shape), _from_json(given.get("data"), kind, shape, count, field)), 0
    if type(size) is not int or not 0 <= size <= len(rest):
        raise Problem(422, "shape_mismatch", "binary_data_size is more than the body holds.", field=field)
    return given["name"], Tensor(kind, tuple(shape), _from_bytes(rest[:size], kind, shape, count, field)), size


def _from_json(data: Any, kind: str, shape: list[int], count: int, field: str) -> np.ndarray | list[str]:
    if not isinstance(data, list):
        raise Problem(422, "param_missing", "An input has neither data nor binary_data_size.", field=field)
    if kind == "BYTES":
        if len(data) != count or not all(isinstance(text, str) for text in data):
            raise Problem(
                422, "shape_mismatch", "An input of BYTES is not as many texts as its shape says.", field=field
            )
        return data
    if not _numbers(data, len(shape)):
        raise Problem(422, "shape_mismatch", "An input's data are no numbers of its datatype.", field=field)
    try:
        values = np.array(data)
    except (ValueError, OverflowError):
        raise Problem(422, "shape_mismatch", "An input's data are no numbers of its shape.", field=field) from None
    if values.size != count:
        raise Problem(422, "shape_mismatch", "An input's data are not as many as its shape says.", field=field)
    if values.dtype.kind not in "iuf":  # text, null, numbers beyond 64 bits
        raise Problem(422, "shape_mismatch", "An input's data are no numbers of its datatype.", field=field)
    limits = np.iinfo(np.int16) if kind == "INT16" else np.finfo(np.float32)
    if values.min() < limits.min or values.max() > limits.max or (kind == "INT16" and (values % 1 != 0).any()):
        raise Problem(422, "shape_mismatch", "An input holds numbers that its datatype cannot.", field=field)
    return values.reshape(shape).astype(_WIDTHS[kind])


def _numbers(data: list[Any], depth: int) -> bool:
    """Whether the leaves are numbers, flat or nested: of texts NumPy would make an array as wide as the longest."""
    if not all(type(each) is list for each in data):
        return set(map(type, data)) <= {int, float}
    return depth > 1 and all(_numbers(each, depth - 1) for each in data)


def _from_bytes(data: memoryview, kind: str, shape: list[int], count: int, field: str) -> np.ndarray | list[str]:
    if kind != "BYTES":
        if len(data) != count * _WIDTHS[kind].itemsize:
            raise Problem(422, "shape_mismatch", "An input's bytes are not as many as its shape says.", field=field)
        return np.frombuffer(data, _WIDTHS[kind]).reshape(shape)
    texts: list[str] = []
    while len(data) >= 4 and len(texts) < count:
        length = int.from_bytes(data[:4], "little")
        if length > len(data) - 4:
            break
        try:
            texts.append(bytes(data[4 : 4 + length]).decode())
        except UnicodeDecodeError:
            raise Problem(422, "query_invalid", "A text is not UTF-8.", field=field) from None
        data = data[4 + length :]
    if len(data) or len(texts) != count:
        raise Problem(422, "shape_mismatch", "An input's bytes are not the texts that its shape says.", field=field)
    return texts


def written(
    asked: Inference,
    outputs: Mapping[str, np.ndarray],
    *,
    model: str,
    version: str,
    request_id: str,
    parameters: Mapping[str, str | float | bool],
) -> Response:
    """The answer: output tensors as JSON, or as bytes behind it where the request asks for that."""
    described, tail = [], b""
    for name, in_bytes in asked.outputs.items():
        kind = "FP32" if outputs[name].dtype.kind == "f" else "INT16"
        tensor: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(outputs[name].shape)}
        if in_bytes:
            content = np.ascontiguousarray(outputs[name], _WIDTHS[kind]).tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            tail += content
        else:
            tensor["data"] = outputs[name].ravel().tolist()
        described.append(tensor)
    answer = {
        "model_name": model,
        "model_version": version,
        "id": asked.id or request_id,
        "parameters": dict(parameters),
        "outputs": described,
    }
    if not tail:
        return json_answer(answer)
    head = json.dumps(answer, allow_nan=False).encode()
    return Response(head + tail, media_type="application/octet-stream", headers={JSON_ENDS: str(len(head))})
