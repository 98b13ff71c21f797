"""`ray job submit` against a cluster of its own: the way a run reaches a cluster, from the checkout to the figures."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from drawn_tables import draw_tables
from processes import kill_tree

from ecgray.client import Client, ServiceError
from ecgray.leads import LEADS
from ecgray.models.classifier import EMBEDDED, Classifier
from ecgray.service.samples import samples
from ecgray.uploads.read import read_upload
from ecgray.uploads.settings import UploadSettings

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
SERVE = Path(sys.executable).with_name("serve")
START_S = 240
JOB_S = 540


@dataclass(frozen=True)
class Head:
    jobs_address: str
    port: int
    environ: dict[str, str]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(address: str, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
    request = urllib.request.Request(f"{address}/api/version", headers={"Authorization": f"Bearer {token}"})
    patience = time.monotonic() + START_S
    while time.monotonic() < patience:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return
        time.sleep(0.5)
    raise AssertionError(f"no answer at {address} in {START_S} s: {log.read_text()}")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head with four logical CPUs on free loopback ports, in a home and a temporary folder of its own."""
    folder = tmp_path_factory.mktemp("head")
    sockets = Path(tempfile.mkdtemp(prefix="ecgray-"))  # Ray's socket paths must stay below 108 bytes
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ = {
        **kept,
        "HOME": str(folder),
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",  # Ray opens its ports on every interface
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    gcs, dashboard, agent, agent_rpc, client, metrics = free_ports(6)
    command = [
        *[str(RAY), "start", "--head", "--block", "--num-cpus=4", f"--object-store-memory={200_000_000}"],
        *["--node-ip-address=127.0.0.1", f"--port={gcs}", f"--ray-client-server-port={client}"],
        *["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"],
        *[f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={agent_rpc}"],
        *[f"--metrics-export-port={metrics}", f"--temp-dir={sockets}", "--disable-usage-stats"],
    ]
    log = folder / "head.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{dashboard}", environ["RAY_AUTH_TOKEN"], process, log)
        yield Head(f"http://127.0.0.1:{dashboard}", gcs, environ)
    finally:
        if process.poll() is None:
            kill_tree(process)
        shutil.rmtree(sockets, ignore_errors=True)


def submit(head: Head, *command: str) -> subprocess.CompletedProcess[str]:
    """`ray job submit --working-dir .` in the checkout; its output is the job's."""
    patience = time.monotonic() + START_S
    while True:
        done = subprocess.run(
            [str(RAY), "job", "submit", "--address", head.jobs_address, "--working-dir", ".", "--", *command],
            cwd=ROOT,
            env=head.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JOB_S,
        )
        # the dashboard answers some seconds before the agent that starts jobs has joined it
        if "No available agent" not in done.stderr or time.monotonic() > patience:
            return done
        time.sleep(2)


@pytest.mark.ray
@pytest.mark.timeout(2 * START_S + JOB_S + 60)
def test_a_submitted_pre_training_ends_with_its_figures(head, tmp_path):
    records, labels = draw_tables(tmp_path / "in", records=160)
    out = tmp_path / "out"
    done = submit(
        head,
        *["python", "jobs/pretrain.py", "debug", "--records", str(records), "--labels", str(labels)],
        *["--out", str(out), "--steps", "12", "--evaluate-every", "6", "--checkpoint-every", "6"],
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(rf"ray: joining \S+:{head.port}\b", said), "the job joins the cluster that it was submitted to"
    figures = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    assert figures["steps"] == 12
    assert 0 <= figures["val_macro_auc"] <= 1
    assert (Path(figures["model"]) / "SHA256SUMS").is_file()
    assert Path(figures["model"]).is_relative_to(out)


@pytest.mark.ray
@pytest.mark.timeout(START_S + 60)
def test_nobody_submits_without_the_token(head):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{head.jobs_address}/api/jobs/", timeout=60)
    assert refused.value.code == 401
    refused.value.close()


@pytest.mark.ray
@pytest.mark.timeout(2 * START_S + JOB_S + 60)
def test_a_job_that_does_not_fit_fails_at_once_with_a_sentence(head, tmp_path):
    records, labels = draw_tables(tmp_path / "in", records=32)
    done = submit(
        head,
        *["python", "jobs/pretrain.py", "debug", "--records", str(records), "--labels", str(labels)],
        *["--out", str(tmp_path / "out"), "--workers", "16"],
    )
    assert done.returncode == 1
    assert "16 training workers" in done.stdout + done.stderr
    assert "the cluster has 4" in done.stdout + done.stderr


@pytest.mark.ray
@pytest.mark.timeout(3 * START_S)
def test_the_service_is_deployed_by_its_config_file(head, tmp_path):
    """With another token of ours: the cluster's lets in who may run anything, the service's who may ask."""
    (port,) = free_ports(1)
    file, token = tmp_path / "serve.yaml", secrets.token_hex(16)
    words = ["--models", "classifier", "--port", str(port), "--cpus", "0.2", "--write", str(file)]
    environ = head.environ | {"ECGRAY_TOKEN": token}
    run = {"cwd": ROOT, "env": environ, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "jobs/serve.py", "debug", *words], timeout=START_S, **run)
    assert done.returncode == 0, done.stderr
    assert token not in file.read_text()
    done = subprocess.run([SERVE, "deploy", "--address", head.jobs_address, str(file)], timeout=START_S, **run)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = read_upload(samples()["left-bundle-branch-block"].archive, UploadSettings()).counts
    client = Client(f"http://127.0.0.1:{port}", token=token, retries=0)
    patience = time.monotonic() + START_S
    try:
        while True:
            try:
                found = client.classify(counts, ["left bundle branch block"], fs=500, leads=LEADS)
                break
            except ServiceError:
                assert time.monotonic() < patience
                time.sleep(1)
        alone = Classifier.load(EMBEDDED).probabilities(counts[None].astype(np.int16), ["left bundle branch block"])
        assert found.results[0].probability == pytest.approx(float(alone[0, 0]), abs=1e-5)
        with pytest.raises(ServiceError, match="token"):
            Client(f"http://127.0.0.1:{port}", token="0" * 16, retries=0).models()
    finally:
        subprocess.run([SERVE, "shutdown", "--address", head.jobs_address, "--yes"], timeout=START_S, **run)
