"""What jobs/serve.py refuses before it starts anything, and how it ends."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from processes import kill_tree

from ecgray.cluster.serve import _stop_while_ray_lives, _told_to_end, _watched, serve
from ecgray.errors import ArtifactError, ClusterError, ConfigError, EcgrayError
from ecgray.models.classifier import EMBEDDED as CLASSIFIER
from ecgray.models.generator import EMBEDDED as GENERATOR
from ecgray.recipes.serve import SERVE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets as far as Ray fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("ecgray.cluster.connect._init", refuse)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("ECGRAY_TOKEN", raising=False)


def refused(kind: type[EcgrayError], match: str, **changed: Any) -> None:
    with pytest.raises(kind, match=match):
        serve(dataclasses.replace(SERVE["debug"], **changed), announce=lambda _: None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(no_ray: None, free_port: int):
    refused(ClusterError, r"wants 0\.5 of a GPU and this machine has 0", port=free_port, classifier_gpu=0.5)


def test_another_kind_of_model(no_ray: None, free_port: int):
    refused(ArtifactError, "--classifier needs a 'supreme", port=free_port, classifier=GENERATOR)
    refused(ArtifactError, "--generator needs a 'sediff-generator'", port=free_port, generator=CLASSIFIER)


def test_a_damaged_model(no_ray: None, free_port: int, tmp_path: Path):
    shutil.copytree(CLASSIFIER, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused(ArtifactError, "model.safetensors", port=free_port, classifier=tmp_path)


def test_a_port_that_is_taken(no_ray: None):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(ClusterError, "cannot be listened on", port=taken.getsockname()[1])


def test_an_open_address_without_a_token(no_ray: None, free_port: int):
    refused(ConfigError, "ECGRAY_TOKEN", port=free_port, host="0.0.0.0")


def test_a_cluster_that_front_direct_would_not_use(no_ray: None, free_port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    refused(ConfigError, "front=proxy", port=free_port)


def test_a_second_signal_waits_no_more():
    before = signal.getsignal(signal.SIGTERM)
    with _told_to_end() as ended:
        assert not ended.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert ended.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("lives", [True, False])
def test_an_end_that_fails_is_no_good_end(lives: bool, monkeypatch: pytest.MonkeyPatch):
    def stop(_: object) -> None:
        raise RuntimeError("Serve's own")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ecgray.cluster.serve._stop", stop)
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        if lives:
            head.listen()
        with pytest.raises(RuntimeError if lives else ClusterError, match="own" if lives else "signal this process"):
            _stop_while_ray_lives(SERVE["debug"])


def test_a_folder_that_changes_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "model"
    shutil.copytree(CLASSIFIER, folder)
    config = dataclasses.replace(SERVE["debug"], classifier=folder, models=("classifier",), watch_s=0.02)

    def put(other: Path) -> None:
        shutil.copytree(other, tmp_path / "new")
        folder.rename(tmp_path / "old")
        (tmp_path / "new").rename(folder)
        shutil.rmtree(tmp_path / "old")

    def until(holds: Callable[[], bool]) -> None:
        patience = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < patience
            time.sleep(0.05)

    (watch,) = _watched(config)
    try:
        put(GENERATOR)
        until(lambda: "--classifier needs a 'supreme" in caplog.text)
        assert "from now on" not in capsys.readouterr().err
        put(CLASSIFIER)
        until(lambda: "from now on" in capsys.readouterr().err)
    finally:
        watch.close()


@pytest.mark.ray
def test_a_signal_to_the_whole_group_ends_it_soon_and_leaves_nothing(free_port: int):
    """Ray's head ends at the same signal; the job must not wait for it."""
    place = Path(tempfile.mkdtemp(prefix="ecgg-", dir="/tmp"))  # Ray's sockets need a short path
    process = subprocess.Popen(
        [sys.executable, "jobs/serve.py", "debug", "--port", str(free_port), "--models", "classifier"],
        cwd=ROOT,
        env={**os.environ, "RAY_TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "signal this process alone" in said
        assert time.monotonic() - began < 45  # Ray itself waits for a minute, on a machine that may be busy
        assert list(place.iterdir()) == []
    finally:
        if process.poll() is None:
            kill_tree(process)
        shutil.rmtree(place, ignore_errors=True)
