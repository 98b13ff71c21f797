"""The bodies of requests and answers. Requests are held against them; answers are only described by them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError

from ecgray.service.example import example_ecg
from ecgray.service.problems import Problem
from ecgray.service.settings import ServiceSettings

Model = TypeVar("Model", bound=BaseModel)

_LARGEST_SEED = 2**53 - 1
"""What every JSON reader keeps exactly."""


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 9.0 is a whole one."""
    return int(value) if type(value) is float and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class _Strict(BaseModel):
    """No field that is not known, no text where a number is wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)


_ECG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A recording. base64: little-endian, row by row. list: one list of numbers a lead. int16 in uV are "
    "counts of 1/1000 mV, -32768 is a missing sample.",
    "required": ["encoding", "fs", "unit", "leads", "data"],
    "additionalProperties": False,
    "properties": {
        "encoding": {"enum": ["base64", "list"]},
        "dtype": {"enum": ["int16", "float32"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
        "fs": {"type": "number", "exclusiveMinimum": 0, "description": "Samples per second."},
        "unit": {"enum": ["mV", "uV", "V"]},
        "leads": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 64},
        "data": {
            "oneOf": [
                {"type": "string", "contentEncoding": "base64"},
                {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            ]
        },
    },
    "examples": [example_ecg()],
}
Ecg = Annotated[dict[str, Any], Field(json_schema_extra=_ECG_SCHEMA)]


class Options(_Strict):
    """How a recording is read."""

    allow_missing_leads: bool = Field(False, description="Answer without I, II or V1 to V6 where one is lacking.")
    strict: bool = Field(True, description="Refuse a wrong WFDB checksum; else it is flagged.")
    start_s: FiniteFloat = Field(0.0, ge=0, le=86_400, description="Where the window of 10 s begins, in seconds.")


class File(_Strict):
    """One file of a recording; nothing is opened by its name."""

    name: str = Field(min_length=1, max_length=200, examples=["r.hea"])
    data: str = Field(description="Base64.")


class Recorded(_Strict):
    """A recording: `ecg`, or `files`."""

    ecg: Ecg | None = None
    files: list[File] | None = Field(
        None, min_length=1, max_length=8, description="A .hea and its signal files, or one file."
    )
    options: Options = Field(default_factory=lambda: Options.model_validate({}))


Queries = Annotated[
    list[Any],
    Field(
        json_schema_extra={
            "items": {"type": "string", "minLength": 1, "maxLength": ServiceSettings.query_letters},
            "minItems": 1,
            "maxItems": ServiceSettings.queries,
        },
        examples=[["atrial fibrillation", "left bundle branch block"]],
    ),
]


class Classify(Recorded):
    """Questions about a recording."""

    queries: Queries


class ClassifyItem(Recorded):
    """One recording of a batch; its own questions, or those of all."""

    queries: Queries | None = None


class ClassifyBatch(_Strict):
    """Up to 64 recordings."""

    items: list[Any] = Field(
        json_schema_extra={"minItems": 1, "maxItems": ServiceSettings.batch}, description="Each a ClassifyItem."
    )
    queries: Queries | None = None


class Explain(Recorded):
    """One question whose answer is to be traced to leads and times."""

    query: Any = Field(json_schema_extra={"type": "string", "minLength": 1}, examples=["left bundle branch block"])


_DRAWABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*$"
"""What XML can hold."""
Layout = Literal["3x4+1", "6x2", "12x1"]


class Plot(Recorded):
    """A recording to be drawn on paper."""

    layout: Layout = "3x4+1"
    speed_mm_s: Literal[25, 50] = 25
    gain_mm_mv: Literal[5, 10, 20] = 10
    title: str = Field("ECG", max_length=80, pattern=_DRAWABLE)


Format = Literal["json", "wfdb", "npy", "svg"]


class Generate(_Strict):
    """What ECGs are to show."""

    prompt: str = Field(min_length=1, max_length=2000, examples=["sinus bradycardia, left bundle branch block"])
    age: FiniteFloat | None = Field(None, ge=0, le=120, description="Years.")
    sex: Literal["F", "M"] | None = None
    heart_rate: FiniteFloat | None = Field(None, ge=20, le=300, description="Beats per minute.", examples=[52])
    n: Whole = Field(1, ge=1, le=ServiceSettings.ecgs, description="ECGs.")
    steps: Annotated[Whole, Field(ge=1, le=ServiceSettings.steps)] | None = Field(
        None, description="Of the sampler; the model's own."
    )
    sampler: Literal["ddpm", "ddim", "dpm++", "sde-dpm++"] | None = None
    guidance_scale: FiniteFloat | None = Field(None, ge=0, le=20, description="1 follows the prompt.")
    seed: Annotated[Whole, Field(ge=0, le=_LARGEST_SEED)] | None = Field(
        None, description="The same seed draws the same ECGs."
    )
    format: Format = "json"


class StampOut(BaseModel):
    """Which model answered."""

    name: str
    kind: str
    version: str
    sha256: str = Field(description="Twelve digits of the model folder's checksums.")
    preset: str


class InputOut(BaseModel):
    """What came in and what was done to it."""

    fs_hz: float
    duration_s: float
    unit: str | None = Field(description="As the request stated it; null where the recording says it itself.")
    leads_found: list[str]
    leads_derived: list[str]
    leads_missing: list[str]
    window_s: list[float]
    resampled: bool
    padded: bool


class QualityOut(BaseModel):
    """What is odd about a recording; ok where nothing makes an answer doubtful."""

    ok: bool
    flags: list[str]


class ResultOut(BaseModel):
    """One answer; not calibrated."""

    query: str
    probability: float
    logit: float
    flags: list[str] = Field(description="negation, no_known_term, term_not_learnt: do not trust such an answer.")


class _Answer(BaseModel):
    request_id: str
    notice: str


class Read(_Answer):
    """A recording as ecgray reads it: twelve leads, 500 Hz, 10 s."""

    ecg: dict[str, Any]
    input: InputOut
    quality: QualityOut


class Classified(_Answer):
    """Answers in the order of the questions."""

    model: StampOut
    results: list[ResultOut]
    input: InputOut
    quality: QualityOut


class ClassifiedItem(BaseModel):
    """One recording of a batch: results, or an error."""

    index: int
    results: list[ResultOut] | None = None
    input: InputOut | None = None
    quality: QualityOut | None = None
    error: dict[str, Any] | None = None


class ClassifiedBatch(_Answer):
    """One entry a recording."""

    model: StampOut | None
    count: int
    errors: int
    items: list[ClassifiedItem]


class Embedded(_Answer):
    """One vector of the recording."""

    model: StampOut
    embedding: list[float]
    width: int
    input: InputOut
    quality: QualityOut


class Measured(_Answer):
    """Intervals; null with a reason where nobody could tell."""

    intervals: dict[str, float | None]
    reasons: dict[str, str]
    r_peaks_s: list[float]
    input: InputOut
    quality: QualityOut


class ExplainedOut(_Answer):
    """What each lead and 0.1 s added to the logit of a flat line."""

    model: StampOut
    query: str
    flags: list[str]
    probability: float
    logit: float
    baseline_logit: float
    method: str
    leads: list[str]
    step_s: float
    contributions: list[list[float]]
    input: InputOut
    quality: QualityOut


class Generated(_Answer):
    """Synthetic ECGs, what was asked and what was measured."""

    model: StampOut
    synthetic: Literal[True]
    seed: int
    steps: int
    sampler: str
    guidance_scale: float
    flags: list[str]
    asked: dict[str, Any]
    ecgs: list[dict[str, Any]]


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    request_id: str | None = None


def held(kind: type[Model], value: Any, *, field: str = "") -> Model:
    """The body as `kind`. Raises `Problem` with the place of the first fault in our own words."""
    if not isinstance(value, dict):
        raise Problem(422, "param_invalid", "The body must be a JSON object.", field=field or None)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _fault(error, field) from None


_RANGES = ("greater_than", "less_than", "too_long", "too_short", "int_parsing_size", "literal_error", "finite_number")


def _fault(error: ValidationError, field: str) -> Problem:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    kind, place, said = first["type"], [*first["loc"]], first["msg"][:1].lower() + first["msg"][1:]
    if kind == "extra_forbidden":  # its name is the client's
        name = _place(field, place[:-1])
        return Problem(422, "param_unknown", f"{name or 'The body'} has a field that is not known.", field=name or None)
    name = _place(field, place)
    if kind == "string_pattern_mismatch":
        return Problem(422, "param_invalid", f"{name} holds control characters.", field=name)
    if kind == "missing":
        return Problem(422, "param_missing", f"{name} is missing.", field=name)
    if any(part in kind for part in _RANGES):
        return Problem(422, "param_out_of_range", f"{name} is not what is taken: {said}.", field=name)
    return Problem(422, "param_invalid", f"{name} is of the wrong kind: {said}.", field=name)


def _place(start: str, parts: list[Any]) -> str:
    """`items`, 3, `ecg` as items[3].ecg."""
    name = start
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


_INVISIBLE = {"Cf", "Zl", "Zp"}
"""Letters without a picture that turn or join others: right-to-left marks, zero-width spaces."""


def checked_queries(queries: list[Any], settings: ServiceSettings, *, field: str = "queries") -> tuple[str, ...]:
    """The questions, in one spelling (NFC) and without invisible letters. Raises `Problem` query_*."""
    if not 1 <= len(queries) <= settings.queries:
        raise Problem(422, "query_count", f"1 to {settings.queries} questions are answered at a time.", field=field)
    found = tuple(checked_query(query, settings, field=f"{field}[{number}]") for number, query in enumerate(queries))
    check_letters(found, settings, field=field)
    return found


def check_letters(queries: Iterable[str], settings: ServiceSettings, *, field: str = "queries") -> None:
    """Raise `Problem` query_too_long where the different questions together have too many letters."""
    if sum(map(len, set(queries))) > settings.letters:
        detail = f"The questions have more than {settings.letters:,} letters together; ask in several requests."
        raise Problem(422, "query_too_long", detail, field=field)


def checked_query(query: Any, settings: ServiceSettings, *, field: str = "query") -> str:
    """One question. Raises `Problem` query_*."""
    if not isinstance(query, str):
        raise Problem(422, "query_invalid", "A question is no text.", field=field)
    if len(query) > settings.query_letters:
        limit = settings.query_letters
        raise Problem(422, "query_too_long", f"A question has more than {limit} letters.", field=field)
    if query.isascii() and query.isprintable():
        plain = query.strip()
    else:
        plain = unicodedata.normalize("NFC", query)
        plain = "".join(each for each in plain if unicodedata.category(each) not in _INVISIBLE).strip()
        if any(unicodedata.category(each) in ("Cc", "Cs", "Co", "Cn") for each in plain):
            raise Problem(422, "query_invalid", "A question holds control characters.", field=field)
    if not plain:
        raise Problem(422, "query_empty", "A question is empty.", field=field)
    return plain
