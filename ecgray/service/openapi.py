"""What the OpenAPI document says of bodies that the routes read by themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ecgray.service.example import examples
from ecgray.service.problems import MEDIA_TYPE
from ecgray.service.schema import Options, Plot, ProblemOut, Recorded

_REFUSALS = {
    400: "The body cannot be parsed.",
    401: "No token, or a wrong one.",
    403: "A page of another address asks.",
    404: "Not there.",
    408: "The body took too long.",
    413: "Too much.",
    415: "Of a kind that is not read.",
    421: "The service does not go by the name in Host.",
    422: "Something in it is not what is taken; the code says what.",
    429: "Too much at once; ask again after Retry-After.",
    500: "A fault of the service.",
    503: "Not ready; ask again after Retry-After.",
    504: "The answer took too long.",
}
COMPONENTS: dict[str, type[BaseModel]] = {}
"""Every schema that a route names."""


def _named(kind: type[BaseModel]) -> dict[str, str]:
    COMPONENTS[kind.__name__] = kind
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def asks_json(kind: type[BaseModel], *, also: str | None = None) -> dict[str, Any]:
    """A JSON body of this kind."""
    content: dict[str, Any] = {"application/json": {"schema": _named(kind), "example": examples()[kind.__name__]}}
    if also is not None:
        content[also] = {"schema": {"type": "string", "description": "One item a line."}}
    return {"requestBody": {"required": True, "content": content}}


def asks_file(kind: type[Recorded]) -> dict[str, Any]:
    """A raw body, its settings in the query string."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    kinds = ("application/octet-stream", "application/zip", "text/csv", "application/x-npy", "application/edf")
    parameters = [_query("fs", {"type": "number"}, "Samples per second (npy; csv without a time column).")]
    parameters.append(_query("unit", {"enum": ["mV", "uV", "V"]}, "Of the values (npy, csv)."))
    parameters.append(_query("leads", {"type": "string"}, "Names of the leads, comma separated (npy)."))
    for name, field in Options.model_json_schema()["properties"].items():
        schema = {key: value for key, value in field.items() if key not in ("title", "description")}
        parameters.append(_query(name, schema, field.get("description", "")))
    own = kind.model_json_schema()["properties"]
    if "queries" in own or "query" in own:
        many = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        parameters.append({**_query("q", many, "A question; may be repeated."), "required": True})
    if kind is Plot:
        for name in ("layout", "speed_mm_s", "gain_mm_mv", "title"):
            parameters.append(_query(name, {k: v for k, v in own[name].items() if k != "title"}, ""))
    return {"parameters": parameters, "requestBody": {"required": True, "content": dict.fromkeys(kinds, binary)}}


def _query(name: str, schema: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": meaning}


def answers(
    kind: type[BaseModel] | None, *, svg: bool = False, also: dict[str, Any] | None = None
) -> dict[int | str, Any]:
    """What a route answers: this kind, or a problem."""
    content: dict[str, Any] = {} if kind is None else {"application/json": {"schema": _named(kind)}}
    if svg:
        content["image/svg+xml"] = {"schema": {"type": "string"}}
    content |= also or {}
    found: dict[int | str, Any] = {200: {"description": "The answer.", "content": content}}
    problem = {MEDIA_TYPE: {"schema": _named(ProblemOut)}}
    return found | {status: {"description": text, "content": problem} for status, text in _REFUSALS.items()}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas that the routes name, and without FastAPI's own 422."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, kind in sorted(COMPONENTS.items()):
        own = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= own.pop("$defs", {})
        schemas[name] = own
    from ecgray.service.schema import ClassifyItem

    item = ClassifyItem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= item.pop("$defs", {})
    schemas["ClassifyItem"] = item
    schemas["ClassifyBatch"]["properties"]["items"]["items"] = {"$ref": "#/components/schemas/ClassifyItem"}
    for methods in document["paths"].values():
        for route in methods.values():
            content = route["responses"]["200"].get("content", {})
            if len(content) > 1 and not content.get("application/json", {}).get("schema", True):
                del content["application/json"]  # FastAPI's own guess
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return document
