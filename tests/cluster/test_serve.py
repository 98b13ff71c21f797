"""jobs/serve.py on a real Ray Serve: answers, load, a killed replica, a replaced model, logs, and a good end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from processes import kill_tree, workers_of

from ecgray.client import Client, ServiceError
from ecgray.leads import LEADS
from ecgray.models.classifier import EMBEDDED, Classifier
from ecgray.service.samples import samples
from ecgray.uploads.read import read_upload
from ecgray.uploads.settings import UploadSettings

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
START_S = 240
QUERIES = ["left bundle branch block", "atrial fibrillation", "normal ecg"]
CANARY = "zyx" + "canary"
READING = 12


@dataclass
class Served:
    process: subprocess.Popen[str]
    port: int
    model: Path
    logs: Path
    lines: list[str] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", retries=0)

    def replica(self, name: str) -> psutil.Process:
        return workers_of(psutil.Process(self.process.pid), f"ServeReplica:ecgray:{name}")[0]


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return read_upload(samples()["left-bundle-branch-block"].archive, UploadSettings()).counts


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = tmp_path_factory.mktemp("served") / "model"
    shutil.copytree(EMBEDDED, model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = Path(tempfile.mkdtemp(prefix="ecgs-", dir="/tmp"))  # Ray's sockets need a short path
    words = ["--port", str(port), "--classifier", str(model), "--watch_s", "0.5", "--reading", str(READING)]
    words += ["--drain_s", "120"]  # drawing stands back: on a busy machine it may take long
    environ = {**os.environ, "RAY_TMPDIR": str(logs)}
    with (logs / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "jobs/serve.py", "debug", *words],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    found = Served(process, port, model, logs)
    listening = threading.Thread(target=lambda: found.lines.extend(process.stdout or ()), daemon=True)
    listening.start()
    try:
        patience = time.monotonic() + START_S
        while not found.lines:
            assert process.poll() is None, (logs / "stderr").read_text()
            assert time.monotonic() < patience, (logs / "stderr").read_text()
            time.sleep(0.2)
        yield found
    finally:
        if process.poll() is None:
            kill_tree(process)
        listening.join(20)
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(logs, ignore_errors=True)


def test_it_says_when_it_is_ready_and_answers_as_the_model_does(served: Served, counts: np.ndarray):
    ready = json.loads(served.lines[0])
    assert ready["ready"] == f"http://127.0.0.1:{served.port}"
    assert ready["models"] == ["classifier", "generator"]
    found = served.client.classify(counts, QUERIES, fs=500, leads=LEADS)
    alone = Classifier.load(EMBEDDED).probabilities(counts[None].astype(np.int16), QUERIES)[0]
    np.testing.assert_allclose([each.probability for each in found.results], alone, atol=1e-5)


def test_http_is_on_loopback_alone_and_what_listens_elsewhere_wants_the_token(served: Served):
    """Ray's own ports are on every interface: each must refuse who does not show the cluster's token."""
    below = [psutil.Process(served.process.pid), *psutil.Process(served.process.pid).children(recursive=True)]
    listening = {
        (each.laddr.ip, each.laddr.port) for one in below for each in one.net_connections() if each.status == "LISTEN"
    }
    assert {ip for ip, port in listening if port == served.port} == {"127.0.0.1"}
    open_ports = [
        each.laddr.port
        for one in workers_of(psutil.Process(served.process.pid), "ServeReplica:ecgray")
        for each in one.net_connections()
        if each.status == "LISTEN" and each.laddr.ip != "127.0.0.1"
    ]
    assert open_ports
    for port in open_ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=10)
        assert refused.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), port
        if refused.value.code() == grpc.StatusCode.UNIMPLEMENTED:  # Ray's own server: its methods, then
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary("/ray.rpc.CoreWorkerService/PushTask")
                with pytest.raises(grpc.RpcError) as refused:
                    call(b"", timeout=10)
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, port


def test_generating_tells_its_progress_and_stops_when_the_client_goes(served: Served):
    steps: list[tuple[int, int]] = []
    found = served.client.generate(
        "sinus bradycardia", heart_rate=50, steps=6, seed=3, progress=lambda *at: steps.append(at)
    )
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert found.counts.shape == (1, 12, 5000)
    drawing = served.replica("Generator")
    for accept in ("text/event-stream", "application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        body = json.dumps({"prompt": "sinus rhythm", "steps": 1000, "n": 8})
        connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json", "Accept": accept})
        time.sleep(1.5)
        assert used_s(drawing, 1.0) > 0.2  # it draws
        connection.close()
        time.sleep(1.0)
        assert used_s(drawing, 2.0) < 0.2  # and does not


def used_s(process: psutil.Process, seconds: float) -> float:
    """CPU seconds in this time, a second."""
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / seconds


class Asking:
    """Clients who ask again and again until told to stop."""

    def __init__(self, served: Served, counts: np.ndarray, clients: int) -> None:
        self.statuses: Counter[object] = Counter()
        self.models: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(served, counts)) for _ in range(clients)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, served: Served, counts: np.ndarray) -> None:
        client = served.client
        while not self._ended.is_set():
            try:
                found = client.classify(counts, QUERIES, fs=500, leads=LEADS)
            except ServiceError as error:
                self.statuses[error.status] += 1
                time.sleep(0.05)
                continue
            self.statuses[200] += 1
            self.models.append(found.model.sha256)


def test_a_replaced_model_folder_is_taken_without_a_request_lost(served: Served, counts: np.ndarray, tmp_path: Path):
    other = tmp_path / "model"
    Classifier.random_like(Classifier.load(EMBEDDED), seed=7).save(other, card="# Another\n")
    with Asking(served, counts, 3) as asking:
        time.sleep(1)
        old = served.model.with_name("old")
        served.model.rename(old)
        shutil.copytree(other, served.model.with_name("new"))
        served.model.with_name("new").rename(served.model)
        patience = time.monotonic() + 60
        while len(set(asking.models)) < 2 and time.monotonic() < patience:
            time.sleep(0.2)
        time.sleep(1)
    assert set(asking.statuses) == {200}
    assert len(set(asking.models)) == 2
    assert asking.models[-1] != asking.models[0]


def test_a_damaged_folder_changes_nothing(served: Served, counts: np.ndarray):
    before = served.client.classify(counts, QUERIES, fs=500, leads=LEADS).model.sha256
    sums = served.model / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("0", "1", 1))
    time.sleep(3)
    assert served.client.classify(counts, QUERIES, fs=500, leads=LEADS).model.sha256 == before


def test_a_killed_replica_costs_no_request(served: Served, counts: np.ndarray):
    shutil.rmtree(served.model)
    shutil.copytree(EMBEDDED, served.model)
    with Asking(served, counts, 3) as asking:
        time.sleep(1)
        first = served.replica("Classifier")
        first.kill()
        patience = time.monotonic() + 90
        while time.monotonic() < patience:
            time.sleep(0.5)
            with contextlib.suppress(IndexError, psutil.Error):
                if served.replica("Classifier").pid != first.pid and asking.models[-50:].count(asking.models[-1]) == 50:
                    break
        answered = asking.statuses[200]
        time.sleep(2)
    assert asking.statuses[200] > answered
    assert set(asking.statuses) == {200}


def test_more_than_it_takes_is_refused_at_once_and_nothing_breaks(served: Served, counts: np.ndarray):
    with Asking(served, counts, 4 * READING) as asking:
        time.sleep(6)
    assert set(asking.statuses) <= {200, 429}
    assert asking.statuses[200] > 20
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        connection.request("GET", "/metrics")
        meters = connection.getresponse().read().decode()
    assert 'ecgray_inside{gate="reading"} 0.0' in meters


def test_no_log_of_ray_or_serve_holds_anything_of_a_request(served: Served, counts: np.ndarray):
    client = served.client
    client.classify(counts, [f"{CANARY} query"], fs=500, leads=LEADS)
    client.generate(f"sinus rhythm {CANARY} prompt", steps=2)
    with contextlib.suppress(ServiceError):
        client.classify(counts, QUERIES, fs=500, leads=[f"{CANARY}{number}" for number in range(12)])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        for path, body in ((f"/{CANARY}/path?q={CANARY}", b""), ("/v1/classify", f'{{"{CANARY}": 1}}'.encode())):
            headers = {"Content-Type": "application/json", "X-Name": CANARY, "X-Request-ID": CANARY}
            connection.request("POST", path, body, headers)
            assert CANARY.encode() not in connection.getresponse().read()
    time.sleep(2)
    holding = [path.name for path in served.logs.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert holding == []
    assert len(list(served.logs.rglob("replica_*.log"))) >= 4  # there are logs to look at


def test_sigterm_answers_what_is_under_way_and_ends_well(served: Served):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=180)) as connection:
        body = json.dumps({"prompt": "sinus rhythm", "steps": 60, "n": 4, "seed": 1})
        connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
        time.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["ecgs"]) == 4
    assert served.process.wait(300) == 0
    time.sleep(0.5)
    assert json.loads(served.lines[-1])["url"].endswith(str(served.port))
