"""cluster.yaml passes Ray's own validation and ours, without a cloud."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def written() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def ray_accepts(cluster: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(cluster))
    validate_config(prepared)
    return prepared


def start_command(cluster: dict[str, Any], who: str) -> str:
    return next(line for line in cluster[f"{who}_start_ray_commands"] if "ray start" in line)


def test_ray_accepts_it(written):
    prepared = ray_accepts(written)
    assert prepared["available_node_types"].keys() == {"head", "cpu", "gpu"}
    assert prepared["provider"]["type"] == "aws"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("head_node_tipe",), "head"),
        (("available_node_types", "gpu", "resources", "GPU"), 0.5),
        (("max_workers",), "many"),
    ],
)
def test_ray_refuses_a_slip(written, place, value):
    node = written
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(Exception, match=r"(?i)unexpected|is not of type|0\.5|many"):
        ray_accepts(written)


def test_the_images_hold_the_ray_that_is_locked(written):
    for lock in (ROOT / "locks").glob("*-py311-*.txt"):
        locked = re.search(r"^ray==(\S+)", lock.read_text(), re.MULTILINE)
        assert locked
        images = [written["docker"]["image"], written["available_node_types"]["gpu"]["docker"]["worker_image"]]
        assert images == [f"rayproject/ray:{locked[1]}-py311", f"rayproject/ray:{locked[1]}-py311-gpu"]


def test_the_dashboard_and_the_jobs_door_stay_on_loopback(written):
    assert "--dashboard-host=127.0.0.1" in start_command(written, "head")
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text()


def test_every_node_asks_for_the_token(written):
    assert written["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (written["setup_commands"], written["available_node_types"]["gpu"]["worker_setup_commands"]):
        assert any("RAY_AUTH_MODE=token" in line for line in commands)


def test_the_head_scales_the_cluster(written):
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start_command(written, "head")
    assert "$RAY_HEAD_IP:6379" in start_command(written, "worker")
    assert "--port=6379" in start_command(written, "head")


def test_workers_come_and_go(written):
    kinds = written["available_node_types"]
    workers = {name: kind for name, kind in kinds.items() if name != written["head_node_type"]}
    assert all(0 <= kind["min_workers"] <= kind["max_workers"] for kind in workers.values())
    assert sum(kind["max_workers"] for kind in workers.values()) == written["max_workers"]
    assert written["idle_timeout_minutes"] > 0
    assert workers["gpu"]["resources"]["GPU"] > 0
    assert kinds["head"]["resources"] == {"CPU": 0}


def test_nodes_install_the_project_s_own_locks(written):
    assert written["file_mounts"]["~/ecgray"] == "."
    assert "make -C ~/ecgray env" in written["setup_commands"]
    assert "make -C ~/ecgray env GPU=1" in written["available_node_types"]["gpu"]["worker_setup_commands"]
    assert {".venv", ".git", "runs"} <= set(written["rsync_exclude"])
