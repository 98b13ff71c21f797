"""A config file of Ray Serve: written, and checked offline. Serve itself passes over a key that it does not know."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from ecgray.cluster.serving import QUIET, Deployed
from ecgray.errors import ConfigError
from ecgray.recipes.serve import ServeConfig
from ecgray.service.settings import is_loopback
from ecgray.settings import from_json, to_json

IMPORT_PATH = "ecgray.cluster.serving:build"


def write_deploy_file(path: Path, config: ServeConfig, token_sha256: str) -> None:
    """The service as `serve deploy FILE` takes it, by Serve's own proxy."""
    import dataclasses

    config = dataclasses.replace(config, write=None, check=None, front="proxy")
    content = {
        "proxy_location": "EveryNode",
        "http_options": {"host": config.host, "port": config.port},
        "logging_config": QUIET,
        "applications": [
            {
                "name": "ecgray",
                "route_prefix": "/",
                "import_path": IMPORT_PATH,
                "args": {"config": to_json(config), "token_sha256": token_sha256},
            }
        ],
    }
    text = "# For `serve deploy`; checked by `python jobs/serve.py laptop --check FILE`.\n" + yaml.safe_dump(
        content, sort_keys=False
    )
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); give another --write FILE.") from None
    check_deploy_file(path)


def check_deploy_file(path: Path) -> int:
    """The number of applications in a config file that Ray Serve and ecgray would take as it is meant.

    Raises `ConfigError` for what Serve refuses, for a key that it would pass over, and for an app of ours with wrong
    arguments, or open to other machines without a token.
    """
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no settings; write one with --write FILE.")
        schema = ServeDeploySchema.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML ({' '.join(str(error).split())[:160]}).") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    _check_keys(path, content, schema, "")
    host = (content.get("http_options") or {}).get("host", "0.0.0.0")  # noqa: S104 - Serve's own default
    for number, each in enumerate(content["applications"]):
        if each["import_path"] == IMPORT_PATH:
            _check_ours(f"{path}: applications[{number}]", each.get("args") or {}, host)
        elif each["import_path"].startswith("ecgray"):
            raise ConfigError(
                f"{path}: applications[{number}].import_path of ecgray is {IMPORT_PATH} and nothing else."
            )
    if not content["applications"]:
        raise ConfigError(f"{path} has no application; write one with --write FILE.")
    return len(content["applications"])


def _check_keys(path: Path, given: Any, known: Any, place: str) -> None:
    """Every key that is written must be one that the schema read."""
    if isinstance(given, list) and isinstance(known, list):
        for number, (own, read) in enumerate(zip(given, known, strict=True)):
            _check_keys(path, own, read, f"{place}[{number}]")
    if not isinstance(given, dict) or not isinstance(known, BaseModel):
        return
    fields = type(known).model_fields
    names = {field.alias or name: name for name, field in fields.items()} | {name: name for name in fields}
    for key, value in given.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"{path}: {where} is no key of Ray Serve, which would pass over it{hint}")
        _check_keys(path, value, getattr(known, names[key]), where)


def _check_ours(place: str, args: dict[str, Any], host: str) -> None:
    try:
        deployed = from_json(Deployed, args)
    except ConfigError as error:
        raise ConfigError(f"{place}.args: {error}") from None
    if deployed.config.host != host:
        raise ConfigError(f"{place}.args.config.host={deployed.config.host} is not http_options.host={host}; give one.")
    if not is_loopback(host) and len(deployed.token_sha256) != 64:
        raise ConfigError(f"{place} listens on {host} without a token; write the file anew with ECGRAY_TOKEN set.")
