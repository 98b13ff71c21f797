"""The settings of jobs/serve.py, and the rules of who may listen where."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest

from ecgray.errors import ConfigError
from ecgray.recipes.serve import SERVE, ServeConfig
from ecgray.service.settings import token_hash


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"port": 0}, "port=0"),
        ({"port": 65_536}, "port=65536"),
        ({"front_replicas": 0}, "front_replicas=0"),
        ({"classifier_replicas": 2}, "classifier_most=1"),
        ({"generator_gpu": -0.5}, "generator_gpu=-0.5"),
        ({"models": ()}, "nothing to serve"),
        ({"watch_s": -1.0}, "watch_s=-1.0"),
        ({"writing": 8}, "drawn_together=16"),
        ({"cpus": 0.0}, "cpus=0.0"),
        ({"reading": 0}, "reading=0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        ServeConfig(**changes)


def test_on_a_cluster_the_proxy_stands_in_front():
    assert SERVE["paper"].front == "proxy"
    assert {SERVE[name].host for name in SERVE} == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "ecg.example", ""])
def test_other_machines_need_a_token(host: str):
    with pytest.raises(ConfigError, match="bearer token"):
        token_hash("", host=host)
    assert token_hash("a" * 16, host=host) == hashlib.sha256(b"a" * 16).hexdigest()


@pytest.mark.parametrize("token", ["short", "a" * 15, "with a space in it....", "\u00e4" * 20, "line\n" * 5])
def test_a_weak_token_is_refused_and_not_repeated(token: str):
    with pytest.raises(ConfigError, match="16 or more") as refused:
        token_hash(token, host="127.0.0.1")
    assert token not in str(refused.value)


def test_models_may_be_served_alone():
    assert dataclasses.replace(SERVE["laptop"], models=("classifier",)).models == ("classifier",)
