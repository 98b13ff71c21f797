"""Starting a Ray of our own: on a busy machine, and closed to others."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import workers_of

from ecgray.cluster import connect
from ecgray.errors import ClusterError

ROOT = Path(__file__).parents[2]
AGENT_PORT = 52365
"""Where Ray's agent takes jobs; `ray.init` offers no other."""
LATE = "The current node timed out during startup. This could happen because some of the raylet failed to startup."


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3)])
def test_a_slow_start_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: int, calls: int):
    """Ray waits 30 s for its node, fixed; a machine that slow cannot be had for a test, so the call stands in."""
    asked: list[dict[str, Any]] = []

    def init(**settings: Any) -> None:
        asked.append(settings)
        if len(asked) <= failures:
            raise Exception(LATE)

    monkeypatch.setattr(connect.ray, "init", init)
    connect._start_own(2, False, tmp_path)
    assert len(asked) == calls
    assert all(settings["address"] == "local" and settings["num_cpus"] == 2 for settings in asked)


@pytest.mark.parametrize(("message", "kind"), [(LATE, ClusterError), ("no such option", RuntimeError)])
def test_it_gives_up_in_a_sentence_and_hides_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str, kind: type[Exception]
):
    def init(**_: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(connect.ray, "init", init)
    with pytest.raises(kind):
        connect._start_own(None, False, tmp_path)


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"no Ray answers at RAY_ADDRESS=127\.0\.0\.1:1"), connect.connected():
        pass


def test_folders_of_killed_processes_go_and_those_at_work_stay(place: Path):
    held = (
        "from ecgray.cluster.connect import _own_folder\n"
        "with _own_folder() as folder:\n    print(folder, flush=True)\n    input()"
    )
    work = subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with work:
        assert work.stdout is not None
        theirs = Path(work.stdout.readline().strip())
        another = Path(tempfile.mkdtemp(prefix="ecgray-", dir=place))  # of somebody else, without a lock
        with connect._own_folder() as ours:
            assert theirs.is_dir()
            work.kill()
            work.wait()
            with connect._own_folder():
                assert not theirs.exists()
                assert another.is_dir()
                assert ours.is_dir()
    assert list(place.iterdir()) == [another]


@pytest.mark.parametrize(
    ("error", "stays"), [(ClusterError("no"), False), (KeyboardInterrupt(), False), (OSError(), True)]
)
def test_logs_of_a_fault_stay(place: Path, error: BaseException, stays: bool, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(type(error)), connect._own_folder() as folder:
        raise error
    with connect._own_folder():
        assert folder.exists() == stays
    assert (str(folder) in capsys.readouterr().err) == stays


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/tmp"))  # short, as Ray's sockets need it
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.ray
def test_our_own_ray_runs_no_job_of_a_stranger(ray_session: None):
    """Ray's agent takes jobs on every interface; without the token it must not. It is up a little after Ray."""
    ours, refused, began = psutil.Process(), 0, time.monotonic()
    while not refused and time.monotonic() - began < 60:
        agents = workers_of(ours, "DashboardAgent")
        ports = {each.laddr.port for one in agents for each in one.net_connections("tcp") if each.status == "LISTEN"}
        refused = sum(_refuses(port) for port in ports)
        if not refused and AGENT_PORT not in ports and _is_taken(AGENT_PORT):
            pytest.skip(f"another Ray of this machine holds port {AGENT_PORT}: ours takes no jobs by HTTP at all")
        time.sleep(0.2)
    assert refused


def _is_taken(port: int) -> bool:
    with socket.socket() as test:
        return test.connect_ex(("127.0.0.1", port)) == 0


def _refuses(port: int) -> bool:
    """Whether a job that is posted there without a token is refused; no job server answers otherwise."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/job_agent/jobs/", b'{"entrypoint": "true"}', {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except (OSError, http.client.HTTPException):  # gRPC
        return False
    raise AssertionError(f"port {port} took a job without the token")
