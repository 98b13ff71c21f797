"""The Open Inference Protocol (KServe, Triton, Seldon): the same models for clients that speak it.

The classifier takes `ecg`, INT16 counts of 1/1000 mV or FP32 mV, [n, 12, 5000] at 500 Hz in the order of the leads that
its metadata lists, and `queries`, BYTES [q]; it gives `probability`, FP32 [n, q]. The generator takes `prompt`, BYTES
[n], with the parameters seed, steps and guidance_scale, and gives `ecg`, INT16 [n, 12, 5000]. A model has one version:
the hash of its folder.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ecgray import __version__
from ecgray.errors import ConfigError, EcgInputError
from ecgray.leads import LEADS
from ecgray.sediff.assumptions import assumed_rate
from ecgray.sediff.prompts import Prompt
from ecgray.service.backends import Accepted, Asked, Commission, Drawn, Stamp
from ecgray.service.bodies import JSON, check_json, media_type
from ecgray.service.core import Service, aside, request_id
from ecgray.service.openapi import answers
from ecgray.service.problems import Problem, internal, of_recording
from ecgray.service.reading import probability
from ecgray.service.schema import checked_queries
from ecgray.service.settings import NOTICE, UNCALIBRATED
from ecgray.service.tensors import JSON_ENDS, Inference, read_inference, written
from ecgray.service.writing import until_gone
from ecgray.tables import FS, SAMPLES
from ecgray.waveform.record import Recording
from ecgray.waveform.standard import StandardEcg, standardise

_METADATA: dict[str, dict[str, Any]] = {
    "classifier": {
        "inputs": [
            {"name": "ecg", "datatype": "INT16", "shape": [-1, 12, 5000], "parameters": {"also": "FP32, mV"}},
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
_PARAMETERS = {"classifier": frozenset[str](), "generator": frozenset({"seed", "steps", "guidance_scale"})}
Parameters = dict[str, str | float | bool]


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
        body = {
            "type": "object",
            "required": ["inputs"],
            "properties": {"inputs": {"type": "array", "items": {"type": "object"}}},
        }
        wants = {"requestBody": {"required": True, "content": {JSON: {"schema": body, "example": _EXAMPLE}}}}
        for path in ("/models/{model}", "/models/{model}/versions/{version}"):
            router.get(path, summary="A model's tensors", responses=_problems())(self.model)
            router.get(f"{path}/ready", summary="Whether a model answers", responses=_problems())(self.model_ready)
            router.post(
                f"{path}/infer",
                summary="Tensors in, tensors out",
                openapi_extra=wants,
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

    async def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Name, version and tensors."""
        facts = await self._facts(model, version)
        found = {"name": model, "versions": [facts["sha256"]], "platform": "ecgray", **_METADATA[model]}
        return found | {"parameters": {"leads": list(LEADS), "fs_hz": FS, "counts_per_mv": 1000}}

    async def model_ready(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Whether this model answers; else 503."""
        await self._facts(model, version)
        return {"name": model, "ready": True}

    async def _facts(self, model: str, version: str | None) -> dict[str, Any]:
        facts = await self.service.facts(model)
        if version not in (None, facts["sha256"]):
            raise _no_version()
        return facts

    async def infer(self, request: Request, model: str, version: str | None = None) -> Response:
        """One pass."""
        await self._facts(model, version)
        asked = await self._read(request, model)
        if model == "classifier":
            outputs, stamp, parameters = await self._classify(asked)
        else:
            outputs, stamp, parameters = await until_gone(request.receive, self._draw(asked))
        if version not in (None, stamp.sha256):  # replaced while the body came
            raise _no_version()
        return written(
            asked, outputs, model=model, version=stamp.sha256, request_id=request_id(request), parameters=parameters
        )

    async def _read(self, request: Request, model: str) -> Inference:
        service, header = self.service, request.headers.get(JSON_ENDS)
        if header is None:
            check_json(request)
        elif media_type(request) not in ("application/octet-stream", JSON):
            raise Problem(415, "media_unsupported", "A body with binary tensors is application/octet-stream.")
        classifies, settings = model == "classifier", service.settings
        content = await service.body(request, settings.batch_bytes if classifies else settings.json_bytes)

        def read() -> Inference:
            return read_inference(
                content,
                header,
                settings,
                inputs=_names(model, "inputs"),
                outputs=_names(model, "outputs"),
                parameters=_PARAMETERS[model],
            )

        with (service.reading if classifies else service.writing).entered():
            return await aside(read, len(content))

    async def _classify(self, asked: Inference) -> tuple[dict[str, np.ndarray], Stamp, Parameters]:
        service = self.service
        queries = checked_queries(list(asked.tensor("queries", "BYTES").value), service.settings)
        ecg = asked.tensor("ecg", "INT16", "FP32")
        if len(ecg.shape) != 3 or ecg.shape[1:] != (12, SAMPLES) or not 1 <= ecg.shape[0] <= service.settings.batch:
            raise Problem(
                422, "shape_mismatch", f"ecg must be [1 to {service.settings.batch}, 12, {SAMPLES}].", field="ecg"
            )
        with service.reading.entered(ecg.shape[0]):
            ecgs = await aside(lambda: [_standard(row) for row in ecg.value], ecg.shape[0] * 120_000)  # type: ignore[arg-type]
            counts = np.stack([each.counts for each in ecgs])
            answered = await service.in_time(
                "classifying", service.reader.answer(Asked(counts, (queries,) * len(counts)))
            )
        found = np.array([[probability(logit) for logit in row.tolist()] for row in answered.values], np.float32)
        service.meters.recordings.labels("classified").inc(len(counts))
        said: Parameters = {
            "quality_flags": json.dumps([each.flags for each in ecgs]),
            "query_flags": json.dumps([answered.flags[query] for query in queries]),
            "notice": UNCALIBRATED,
        }
        return {"probability": found}, answered.stamp, said

    async def _draw(self, asked: Inference) -> tuple[dict[str, np.ndarray], Stamp, Parameters]:
        service = self.service
        texts = asked.tensor("prompt", "BYTES").value
        if not 1 <= len(texts) <= service.settings.ecgs:
            raise Problem(422, "param_out_of_range", f"1 to {service.settings.ecgs} prompts are drawn.", field="prompt")
        try:
            prompts = tuple(Prompt(text=str(text)) for text in texts)
            commission = Commission(prompts, *_order(asked.parameters, service))
            with service.writing.entered(len(prompts)):
                accepted, drawn = await service.in_time(
                    "drawing", self._drawn(commission), seconds=service.settings.generate_s
                )
        except ConfigError:
            raise Problem(
                422, "param_out_of_range", "A prompt or parameter is not what is taken.", field="prompt"
            ) from None
        service.meters.generated.inc(len(prompts))
        said: Parameters = {
            "synthetic": True,
            "seed": commission.seed,
            "steps": accepted.steps,
            "sampler": accepted.sampler,
            "guidance_scale": accepted.guidance_scale,
            "flags": json.dumps(accepted.flags),
            "assumed_bpm": json.dumps(
                [assumed_rate(prompt, commission.seed, number) for number, prompt in enumerate(prompts)]
            ),
            "notice": NOTICE,
        }
        return {"ecg": drawn.counts}, drawn.stamp, said

    async def _drawn(self, commission: Commission) -> tuple[Accepted, Drawn]:
        accepted, drawn = None, None
        async with aclosing(self.service.writer.draw(commission)) as events:
            async for event in events:
                accepted = event if isinstance(event, Accepted) else accepted
                drawn = event if isinstance(event, Drawn) else drawn
        if accepted is None or drawn is None:
            raise internal()
        return accepted, drawn


def _no_version() -> Problem:
    return Problem(404, "not_found", "The model has no such version; GET /v2/models/MODEL names the one it has.")


def _names(model: str, side: str) -> frozenset[str]:
    return frozenset(tensor["name"] for tensor in _METADATA[model][side])


def _problems() -> dict[int | str, Any]:
    found = answers(None)
    found[200] = {"description": "The answer.", "content": {JSON: {"schema": {"type": "object"}}}}
    return found


def _order(given: dict[str, Any], service: Service) -> tuple[int, int | None, str | None, float | None]:
    """Seed, steps, sampler (the model's own) and guidance."""
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


def _standard(row: np.ndarray) -> StandardEcg:
    try:
        if row.dtype == np.int16:
            recording = Recording(row, (1000.0,) * 12, (0,) * 12, float(FS), LEADS)
        else:
            if not np.isfinite(row).all():
                raise EcgInputError("non_finite", "A sample is not finite; leave the recording out, or mend it.")
            recording = Recording.from_mv(row, fs=FS, names=LEADS)
        return standardise(recording)
    except EcgInputError as error:
        raise of_recording(error) from None
