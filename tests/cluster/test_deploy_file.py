"""Config files of Ray Serve: what is written can be read back, and what Serve would pass over is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from ecgray.cluster.deploy_file import check_deploy_file, write_deploy_file
from ecgray.cluster.serving import Deployed
from ecgray.errors import ConfigError
from ecgray.recipes.serve import SERVE
from ecgray.service.settings import token_hash
from ecgray.settings import from_json

TOKEN = token_hash("0123456789abcdef", host="10.0.0.1")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "serve.yaml"
    write_deploy_file(path, dataclasses.replace(SERVE["paper"], host="10.0.0.1", port=8123), TOKEN)
    return path


def test_what_is_written_is_what_was_meant(written: Path):
    content = yaml.safe_load(written.read_text())
    deployed = from_json(Deployed, content["applications"][0]["args"])
    assert deployed.config == dataclasses.replace(SERVE["paper"], host="10.0.0.1", port=8123)
    assert deployed.token_sha256 == TOKEN
    assert content["http_options"] == {"host": "10.0.0.1", "port": 8123}
    assert check_deploy_file(written) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("http_options", "http_option", "http_option is no key of Ray Serve.*did you mean http_options"),
        ("  port: 8123\nlogging", "  prt: 8123\nlogging", "http_options.prt is no key"),
        ("enable_access_log", "enable_acces_log", "logging_config.enable_acces_log: Extra inputs"),
        ("route_prefix", "route_prefx", r"applications\[0\].route_prefx is no key"),
        ("reading:", "readings:", "no field 'readings'"),
        ("front_replicas: 4", "front_replicas: '4'", "front_replicas"),
        ("front_replicas: 4", "front_replicas: 0", "front_replicas=0"),
        ("host: 10.0.0.1\n  port: 8123\nlogging", "host: 127.0.0.1\n  port: 8123\nlogging", "is not http_options.host"),
        (TOKEN, "''", "without a token"),
        ("import_path", "import_pth", "import_path|import_pth"),
        ("applications:", "applications: [}", "is no YAML"),
        ("serving:build", "servin:build", r"applications\[0\].import_path of ecgray is ecgray.cluster.serving:build"),
    ],
)
def test_what_is_wrong_is_said(written: Path, old: str, new: str, said: str):
    text = written.read_text()
    assert old in text
    written.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        check_deploy_file(written)


def test_keys_of_deployments_are_looked_at_too(written: Path):
    content = yaml.safe_load(written.read_text())
    content["applications"][0]["deployments"] = [{"name": "Classifier", "max_ongoing_request": 3}]
    written.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"deployments\[0\].max_ongoing_request .*max_ongoing_requests"):
        check_deploy_file(written)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        check_deploy_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no settings"),
        (b"applications: []", "has no application"),
        (b"PK\x03\x04\xff\xfe", "is no YAML"),
        (b"- a", "holds no settings"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes, said: str):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        check_deploy_file(tmp_path / "x")


def test_where_nothing_can_be_written(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none" / "x.yaml"):
        with pytest.raises(ConfigError, match="cannot be written"):
            write_deploy_file(path, SERVE["paper"], TOKEN)
