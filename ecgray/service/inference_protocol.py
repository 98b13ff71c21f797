"""The Open Inference Protocol (KServe, Triton, Seldon): the same models for clients that speak it.

Tensors come as JSON or, after it in the same body, as little-endian bytes (Inference-Header-Content-Length says where
the JSON ends). The classifier takes `ecg`, INT16 counts of 1/1000 mV or FP32 mV, [n, 12, 5000] at 500 Hz in the order
of the leads that its metadata lists, and `queries`, BYTES [q]; it gives `probability`, FP32 [n, q]. The generator takes
`prompt`, BYTES [n], with the parameters seed, steps and guidance_scale, and gives `ecg`, INT16 [n, 12, 5000].
"""

from __future__ import annotations

import json
import math
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ecgray import __version__
from ecgray.errors import ConfigError, EcgInputError
from ecgray.leads import LEADS
from ecgray.sediff.prompts import Prompt
from ecgray.service.backends import Asked, Commission, Drawn
from ecgray.service.bodies import JSON, check_json, media_type, parsed
from ecgray.service.core import Service, aside, json_answer, request_id
from ecgray.service.openapi import answers
from ecgray.service.problems import Problem, internal, of_recording
from ecgray.service.reading import probability
from ecgray.service.schema import checked_queries
from ecgray.service.settings import ServiceSettings
from ecgray.service.writing import until_gone
from ecgray.tables import FS, SAMPLES
from ecgray.waveform.record import Recording
from ecgray.waveform.standard import standardise

_WIDTHS: dict[str, np.dtype[Any]] = {"INT16": np.dtype("<i2"), "FP32": np.dtype("<f4")}
_METADATA: dict[str, dict[str, Any]] = {
    "classifier": {
        "inputs": [
            {"name": "ecg", "datatype": "INT16", "shape": [-1, 12, 5000]},
            {"name": "queries", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1, -1]}],
    },
    "generator": {
        "inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "ecg", "datatype": "INT16", "shape": [-1, 12, 5000]}],
    },
}
_EXAMPLE = {
    "inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["sinus bradycardia"]}],
    "parameters": {"seed": 7, "steps": 10},
}
"""A body that the generator takes."""
_HEADER = "inference-header-content-length"
_MOST_TEXTS = ServiceSettings.queries
"""Of one tensor, whatever it is for."""


@dataclass(frozen=True)
class _Tensor:
    datatype: str
    shape: tuple[int, ...]
    value: np.ndarray | list[str]


class InferenceProtocol:
    """The routes below /v2."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
        router.get("", summary="The server", responses=_problems())(self.server)
        router.get("/health/live", summary="Whether the service runs", responses=_problems())(self.live)
        router.get("/health/ready", summary="Whether its models answer", responses=_problems())(self.ready)
        router.get("/models/{model}", summary="A model's tensors", responses=_problems())(self.model)
        router.get("/models/{model}/ready", summary="Whether a model answers", responses=_problems())(self.model_ready)
        body = {
            "type": "object",
            "required": ["inputs"],
            "properties": {"inputs": {"type": "array", "items": {"type": "object"}}},
        }
        router.post(
            "/models/{model}/infer",
            summary="Tensors in, tensors out",
            openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": body, "example": _EXAMPLE}}}},
            responses=_problems(),
        )(self.infer)
        return router

    async def server(self) -> dict[str, Any]:
        """Name, version, extensions."""
        return {"name": "ecgray", "version": __version__, "extensions": ["binary_tensor_data"]}

    async def live(self) -> dict[str, bool]:
        """It answers, so it lives."""
        return {"live": True}

    async def ready(self) -> dict[str, bool]:
        """Every model answers, or 503."""
        for name in self.service.backends.named():
            await self.service.facts(name)
        return {"ready": True}

    async def model(self, model: str) -> dict[str, Any]:
        """Name, version and tensors."""
        facts = await self.service.facts(model)
        found = {"name": model, "versions": [facts["sha256"]], "platform": "ecgray", **_METADATA[model]}
        return found | {"parameters": {"leads": list(LEADS), "fs_hz": FS, "counts_per_mv": 1000}}

    async def model_ready(self, model: str) -> dict[str, Any]:
        """Whether this model answers; else 503."""
        await self.service.facts(model)
        return {"name": model, "ready": True}

    async def infer(self, request: Request, model: str) -> Response:
        """One pass."""
        await self.service.facts(model)
        service = self.service
        header = request.headers.get(_HEADER)
        if header is None:
            check_json(request)
        elif media_type(request) not in ("application/octet-stream", JSON):
            raise Problem(415, "media_unsupported", "A body with binary tensors is application/octet-stream.")
        content = await service.body(request, service.settings.batch_bytes)
        with (service.reading if model == "classifier" else service.writing).entered():
            body, tensors = await aside(lambda: _tensors(content, header, service), len(content))
        if model == "classifier":
            outputs, version = await self._classify(tensors)
        else:
            outputs, version = await until_gone(request.receive, self._draw(tensors, body.get("parameters", {})))
        return _answer(body, model, version, outputs, request_id(request))

    async def _classify(self, tensors: dict[str, _Tensor]) -> tuple[dict[str, np.ndarray], str]:
        service = self.service
        queries = checked_queries(list(_wanted(tensors, "queries", "BYTES").value), service.settings)
        ecg = _wanted(tensors, "ecg", "INT16", "FP32")
        if len(ecg.shape) != 3 or ecg.shape[1:] != (12, SAMPLES) or not 1 <= ecg.shape[0] <= service.settings.batch:
            raise Problem(
                422, "shape_mismatch", f"ecg must be [1 to {service.settings.batch}, 12, {SAMPLES}].", field="ecg"
            )
        with service.reading.entered(ecg.shape[0]):
            counts = await aside(lambda: np.stack([_standard(row) for row in ecg.value]), ecg.shape[0] * 120_000)  # type: ignore[arg-type]
            answered = await service.in_time(
                "classifying", service.reader.answer(Asked(counts, (queries,) * len(counts)))
            )
        found = np.array([[probability(logit) for logit in row.tolist()] for row in answered.values], np.float32)
        service.meters.recordings.labels("classified").inc(len(counts))
        return {"probability": found}, answered.stamp.sha256

    async def _draw(self, tensors: dict[str, _Tensor], parameters: Any) -> tuple[dict[str, np.ndarray], str]:
        service = self.service
        texts = _wanted(tensors, "prompt", "BYTES").value
        if not 1 <= len(texts) <= service.settings.ecgs:
            raise Problem(422, "param_out_of_range", f"1 to {service.settings.ecgs} prompts are drawn.", field="prompt")
        try:
            prompts = tuple(Prompt(text=str(text)) for text in texts)
            commission = Commission(prompts, *_parameters(parameters, service))
            with service.writing.entered(len(prompts)):
                drawn = await service.in_time("drawing", self._drawn(commission), seconds=service.settings.generate_s)
        except ConfigError:
            raise Problem(
                422, "param_out_of_range", "A prompt or parameter is not what is taken.", field="prompt"
            ) from None
        if not drawn:
            raise internal()
        service.meters.generated.inc(len(prompts))
        return {"ecg": drawn[0].counts}, drawn[0].stamp.sha256

    async def _drawn(self, commission: Commission) -> list[Drawn]:
        async with aclosing(self.service.writer.draw(commission)) as events:
            return [event async for event in events if isinstance(event, Drawn)]


def _problems() -> dict[int | str, Any]:
    found = answers(None)
    found[200] = {"description": "The answer.", "content": {JSON: {"schema": {"type": "object"}}}}
    return found


def _parameters(given: Any, service: Service) -> tuple[int, int | None, str | None, float | None]:
    """Seed, steps, sampler (the model's own) and guidance."""
    if not isinstance(given, dict):
        raise Problem(422, "param_invalid", "parameters must be an object.", field="parameters")
    seed, steps, scale = given.get("seed", 0), given.get("steps"), given.get("guidance_scale")
    if type(seed) is not int or type(steps) not in (int, type(None)) or type(scale) not in (int, float, type(None)):
        raise Problem(
            422, "param_invalid", "seed and steps are whole numbers, guidance_scale a number.", field="parameters"
        )
    if (
        not 0 <= seed < 2**53
        or not 1 <= (1 if steps is None else steps) <= service.settings.steps
        or not 0 <= (scale or 0) <= 20
    ):
        raise Problem(422, "param_out_of_range", "seed, steps or guidance_scale is out of range.", field="parameters")
    return seed, steps, None, None if scale is None else float(scale)


def _standard(row: np.ndarray) -> np.ndarray:
    try:
        if row.dtype == np.int16:
            recording = Recording(row, (1000.0,) * 12, (0,) * 12, float(FS), LEADS)
        else:
            if not np.isfinite(row).all():
                raise EcgInputError("non_finite", "A sample is not finite; leave the recording out, or mend it.")
            recording = Recording.from_mv(row, fs=FS, names=LEADS)
        return standardise(recording).counts
    except EcgInputError as error:
        raise of_recording(error) from None


def _wanted(tensors: dict[str, _Tensor], name: str, *kinds: str) -> _Tensor:
    if name not in tensors:
        raise Problem(422, "param_missing", f"The input {name} is missing.", field=name)
    if tensors[name].datatype not in kinds:
        raise Problem(415, "dtype_unsupported", f"The input {name} must be {' or '.join(kinds)}.", field=name)
    return tensors[name]


def _tensors(content: bytes, header: str | None, service: Service) -> tuple[dict[str, Any], dict[str, _Tensor]]:
    """The JSON and the input tensors of a body."""
    end = len(content)
    if header is not None:
        if not (header.isascii() and header.isdigit() and len(header) < 10) or int(header) > len(content):
            raise Problem(400, "json_invalid", "Inference-Header-Content-Length is not where the JSON ends.")
        end = int(header)
    body = parsed(content[:end], service.settings)
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list) or len(body["inputs"]) > 8:
        raise Problem(422, "param_missing", "inputs must be a list of 1 to 8 tensors.", field="inputs")
    rest, found = memoryview(content)[end:], {}
    for number, given in enumerate(body["inputs"]):
        name, tensor, used = _tensor(given, rest, f"inputs[{number}]")
        found[name], rest = tensor, rest[used:]
    if len(rest):
        raise Problem(422, "shape_mismatch", "There are more binary bytes than the inputs say.", field="inputs")
    return body, found


def _tensor(given: Any, rest: memoryview, field: str) -> tuple[str, _Tensor, int]:
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
    size = (
        given.get("parameters", {}).get("binary_data_size") if isinstance(given.get("parameters", {}), dict) else None
    )
    count = math.prod(shape)
    if kind == "BYTES" and count > _MOST_TEXTS:
        raise Problem(422, "query_count", f"An input of BYTES has more than {_MOST_TEXTS} texts.", field=field)
    if size is None:
        return given["name"], _Tensor(kind, tuple(shape), _from_json(given.get("data"), kind, shape, count, field)), 0
    if type(size) is not int or not 0 <= size <= len(rest):
        raise Problem(422, "shape_mismatch", "binary_data_size is more than the body holds.", field=field)
    return given["name"], _Tensor(kind, tuple(shape), _from_bytes(rest[:size], kind, shape, count, field)), size


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


def _answer(body: dict[str, Any], model: str, version: str, outputs: dict[str, np.ndarray], number: str) -> Response:
    """The output tensors, as JSON or as bytes behind it where the request asks for that."""
    asked = body.get("outputs", [])
    asked = [each for each in asked if isinstance(each, dict)] if isinstance(asked, list) else []
    everywhere = isinstance(body.get("parameters"), dict) and body["parameters"].get("binary_data_output") is True
    described, tail = [], b""
    for name, value in outputs.items():
        kind = "FP32" if value.dtype.kind == "f" else "INT16"
        tensor: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(value.shape)}
        own = [
            each["parameters"].get("binary_data")
            for each in asked
            if each.get("name") == name and isinstance(each.get("parameters"), dict)
        ]
        if everywhere or True in own:
            content = np.ascontiguousarray(value, _WIDTHS[kind]).tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            tail += content
        else:
            tensor["data"] = value.ravel().tolist()
        described.append(tensor)
    given = body.get("id")
    answer: dict[str, Any] = {
        "model_name": model,
        "model_version": version,
        "id": given if isinstance(given, str) else number,
    }
    answer["outputs"] = described
    if not tail:
        return json_answer(answer)
    head = json.dumps(answer, allow_nan=False).encode()
    return Response(head + tail, media_type="application/octet-stream", headers={_HEADER: str(len(head))})
