"""Training on a real local Ray: two workers, killed ones, a killed machine."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from drawn_tables import draw_tables
from processes import kill_tree, workers_of

from ecgray.cluster.preflight import check_room, workers_at_once
from ecgray.cluster.training import pretrain
from ecgray.cluster.workers import CHECKPOINTS
from ecgray.errors import ClusterError
from ecgray.models import Classifier
from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal

pytestmark = pytest.mark.ray

JOB = Path(__file__).parents[2] / "jobs" / "pretrain.py"
STEPS, EVERY = 60, 5


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    draw_tables(out, records=200)
    return out


def _config(tables: Path, out: Path) -> PretrainConfig:
    return dataclasses.replace(
        PRETRAIN["debug"], records=tables, labels=tables, out=out, steps=STEPS, checkpoint_every=EVERY
    )


@pytest.fixture(scope="module")
def undisturbed(tables: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    pretrain(_config(tables, out), bar=False)
    return out


def _same(out: Path, undisturbed: Path) -> None:
    """The model, and the way to it, to the last bit."""
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (out, undisturbed)]
    assert weights[0] == weights[1]
    steady = ("step", "loss", "grad_norm", "learning_rate", "val_macro_auc")
    rows = [[{name: row.get(name) for name in steady} for row in read_journal(folder)] for folder in (out, undisturbed)]
    assert rows[0] == rows[1]


def _wait(condition: Callable[[], bool], *, timeout_s: float = 180) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def _steps(out: Path) -> int:
    rows = read_journal(out)
    return int(rows[-1]["step"]) if rows else 0


def test_two_workers_train_one_model(undisturbed: Path) -> None:
    figures = json.loads((undisturbed / "figures.json").read_text())
    assert figures["steps"] == STEPS
    assert [row["step"] for row in read_journal(undisturbed)] == list(range(1, STEPS + 1))
    assert Classifier.load(Path(figures["model"])).details["figures"]["val_macro_auc"] == figures["val_macro_auc"]


def test_two_workers_learn_what_one_process_learns(tables: Path, tmp_path: Path, ray_session: None) -> None:
    """Without dropout, which each rank draws for itself, the steps are the same but for the order of their sums."""
    losses = []
    for workers in (0, 2):
        config = dataclasses.replace(_config(tables, tmp_path / str(workers)), workers=workers, steps=4)
        pretrain(dataclasses.replace(config, model=dataclasses.replace(config.model, dropout=0.0)), bar=False)
        losses.append([row["loss"] for row in read_journal(config.out)])
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_worker_that_is_killed_costs_steps_but_changes_nothing(
    tables: Path, undisturbed: Path, tmp_path: Path
) -> None:
    failures: list[BaseException] = []

    def train() -> None:
        try:
            pretrain(_config(tables, tmp_path), bar=False)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    _wait(lambda: _steps(tmp_path) >= 2 * EVERY or not thread.is_alive())
    workers = workers_of(psutil.Process(), "RayTrainWorker")
    assert len(workers) == 2
    workers[-1].kill()
    killed_at = _steps(tmp_path)
    assert killed_at < STEPS, "the run was over before a worker could be killed"
    thread.join(timeout=300)
    assert not failures
    _same(tmp_path, undisturbed)


def test_a_machine_that_is_killed_goes_on_by_the_same_command(
    tables: Path, undisturbed: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = [sys.executable, str(JOB), "debug", "--records", tables, "--labels", tables, "--out", tmp_path]
    command += ["--steps", str(STEPS), "--checkpoint-every", str(EVERY)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    options: dict[str, Any] = {"env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    first = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
    _wait(lambda: _steps(tmp_path) >= 2 * EVERY + 1 or first.poll() is not None)
    kill_tree(first)
    reached = _steps(tmp_path)
    assert 0 < reached < STEPS
    kept = newest_checkpoint(tmp_path / CHECKPOINTS)
    assert kept is not None
    assert kept.step >= reached - 2 * EVERY

    second = subprocess.run([str(word) for word in command], check=False, timeout=300, **options)
    assert second.returncode == 0, second.stderr
    assert f"goes on from step {kept.step}" in second.stderr
    assert json.loads(second.stdout.splitlines()[-1])["steps"] == STEPS
    _same(tmp_path, undisturbed)


def test_what_the_cluster_cannot_hold_is_refused_at_once(tables: Path, tmp_path: Path, ray_session: None) -> None:
    config = dataclasses.replace(_config(tables, tmp_path), workers=8)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=r"8 training workers of 0\.5 CPUs .* need 5 CPUs .* the cluster has 4"):
        pretrain(config, bar=False)
    assert time.monotonic() - begin < 10


def test_workers_that_no_node_can_hold_are_refused(ray_session: None) -> None:
    with pytest.raises(ClusterError, match="1 GPUs each"):
        check_room(workers=1, cpus=1, gpus=1, spare_cpus=0)
    check_room(workers=2, cpus=1.5, gpus=0, spare_cpus=1)


def test_runs_side_by_side_leave_room_for_ray_data(ray_session: None) -> None:
    assert workers_at_once(workers=2, cpus=0.5, gpus=0, spare_cpus=1) == 3
    assert workers_at_once(workers=2, cpus=2, gpus=0, spare_cpus=1) == 0
