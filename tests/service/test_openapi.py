"""The OpenAPI document against the service that it describes: schemathesis asks, good and bad, what it says one may."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from stand_ins import ChildService

from ecgray.service.app import build_app
from ecgray.service.backends import Backends
from ecgray.service.core import Service
from ecgray.service.settings import ServiceSettings

DOCUMENT = build_app(Service(ServiceSettings(), Backends(None, None, None))).openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
checks.load_all_checks()
FEW = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)


def named(value: Any) -> str:
    return value if isinstance(value, str) else "example"


BY_DESIGN = {"/v1/classify/batch"}
"""Where what the schema forbids is answered with 200: an item that is wrong has its error in its own place."""
CHECKS = [
    checks.not_a_server_error,
    *checks.CHECKS.get_by_names(
        ["status_code_conformance", "content_type_conformance", "response_schema_conformance", "unsupported_method"]
    ),
]
STRICT = [*CHECKS, *checks.CHECKS.get_by_names(["negative_data_rejection"])]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(path: str, method: str, child: ChildService):
    """Not always with 200: no schema says that data must fit their shape."""
    operation = SCHEMA[path][method]

    @FEW
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=child.address, checks=CHECKS)

    asked()


@pytest.mark.parametrize(("path", "method"), [each for each in OPERATIONS if each[1] == "post"])
def test_what_the_document_forbids_is_refused(path: str, method: str, child: ChildService):
    operation = SCHEMA[path][method]

    @FEW
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=child.address, checks=CHECKS if path in BY_DESIGN else STRICT)

    asked()


def bodies() -> list[tuple[str, str, Any]]:
    """Path, kind and example of every body that the document shows."""
    found = []
    for path, method in OPERATIONS:
        for kind, body in DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {}).items():
            found += [(path, kind, body["example"])] if "example" in body else []
    return found


@pytest.mark.parametrize(("path", "kind", "example"), bodies(), ids=named)
def test_every_example_works(path: str, kind: str, example: Any, client: httpx.Client):
    content = example if isinstance(example, str) else json.dumps(example)
    version = client.get("/v2/models/generator").json()["versions"][0]
    place = path.replace("{model}", "generator").replace("{version}", version)
    answer = client.post(place, content=content, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    if path == "/v1/classify/batch":
        assert answer.json()["errors"] == 0
    assert answer.headers["content-type"] in DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]


def test_every_route_of_the_api_shows_an_example():
    posts = {path for path, method in OPERATIONS if method == "post" and not path.endswith("/file")}
    assert {path for path, _, _ in bodies()} == posts


def test_the_document_is_whole(client: httpx.Client):
    """By the OpenAPI's own schema; every reference leads somewhere; every refusal is a problem document."""
    SCHEMA.validate()
    assert client.get("/openapi.json").json() == DOCUMENT
    text = json.dumps(DOCUMENT)
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in DOCUMENT["components"]["schemas"], name
    assert "HTTPValidationError" not in text
    for path, method in OPERATIONS:
        found = DOCUMENT["paths"][path][method]
        assert found["summary"]
        assert {"400", "401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503", "504"} <= set(
            found["responses"]
        )
        for status, response in found["responses"].items():
            assert list(response["content"]) == ["application/problem+json"] or status == "200"


def test_the_answers_of_the_models_that_ship_are_as_described(client: httpx.Client, records: np.ndarray):
    """What a stand-in cannot show: a real answer has the fields of its schema, no more and no less."""
    for path, kind, example in bodies():
        content = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"].get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name:
            answer = client.post(path, json=example, headers={"content-type": kind})
            properties = DOCUMENT["components"]["schemas"][name]["properties"]
            assert set(answer.json()) == set(properties), path
