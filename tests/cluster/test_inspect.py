"""What the doctor sees of Ray without starting one: processes, and doors without a token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripted_service import answer, hang_up, scripted

from ecgray.cluster.inspect import LocalRay, asks_for_token, local_rays, place_of, user_of
from ecgray.commands import holdings


def process(proc: Path, pid: int, comm: str, *arguments: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{comm}\n")
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(argument.encode() for argument in arguments))


def test_the_rays_of_this_machine_are_found_among_its_processes(tmp_path: Path):
    process(tmp_path, 1, "init", "/sbin/init")
    process(tmp_path, 20, "python", "x.py", "raylet", "--gcs-address=1.2.3.4:5")
    process(
        tmp_path, 30, "raylet", "raylet", "--gcs-address=10.0.0.1:6379", "--webui=10.0.0.1:8265", "--temp-dir=/tmp/r"
    )
    process(tmp_path, 4, "raylet", "raylet", "--gcs-address=10.0.0.1:7000", "--webui=None")
    (tmp_path / "50").mkdir()  # a process that has just ended
    (tmp_path / "self").mkdir()
    uid = os.getuid()
    assert local_rays(tmp_path) == [
        LocalRay(4, uid, "10.0.0.1:7000", "", ""),
        LocalRay(30, uid, "10.0.0.1:6379", "10.0.0.1:8265", "/tmp/r"),
    ]
    assert user_of(uid) == "yours"


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (answer({"authentication_mode": "token"}), True),
        (answer({"authentication_mode": "disabled"}), False),
        (answer({}, status=401), True),
        (answer({}, status=404), False),
        (lambda handler: handler.say(200, "text/html", b"<html>"), False),
        (hang_up, None),
    ],
)
def test_a_dashboard_says_whether_it_wants_a_token(says, expected):
    with scripted(says) as script:
        assert asks_for_token(script.address.rpartition("/")[2], timeout_s=2) is expected


def test_an_open_dashboard_that_others_can_reach_is_red(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    rays = [
        LocalRay(1, os.getuid(), "10.0.0.1:6379", "10.0.0.1:8265", ""),
        LocalRay(2, os.getuid(), "10.0.0.1:6380", "127.0.0.1:8266", ""),
    ]
    monkeypatch.setattr("ecgray.cluster.inspect.local_rays", lambda: rays)
    for mode, expected in ((False, ["fix", "look", "look"]), (True, ["look", "look"]), (None, ["look", "look"])):
        monkeypatch.setattr("ecgray.cluster.inspect.asks_for_token", lambda place, timeout_s, mode=mode: mode)
        assert [finding.level for finding in holdings.other_rays()] == expected
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert len(holdings.other_rays()) == 1, "the one that is ours by name is no stranger"


def test_the_cluster_that_is_named_is_asked(monkeypatch: pytest.MonkeyPatch):
    for address, level in {"": "ok", "local": "ok", "auto": "look", "127.0.0.1:1": "fix"}.items():
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert [finding.level for finding in holdings.joined_ray()] == [level]
    with scripted(answer({})) as script:
        monkeypatch.setenv("RAY_ADDRESS", script.address)
        assert [finding.level for finding in holdings.joined_ray()] == ["ok"]
        monkeypatch.setattr("ecgray.cluster.inspect.place_of", lambda address: ("10.255.255.1", 6379))
        monkeypatch.setattr("ecgray.cluster.inspect.answers", lambda place, timeout_s: True)
        monkeypatch.setattr("ecgray.cluster.inspect.asks_for_token", lambda place, timeout_s: False)
        assert [finding.level for finding in holdings.joined_ray()] == ["ok", "fix"]
    assert place_of("10.0.0.1:99999") is None


@pytest.mark.ray
def test_a_ray_of_ours_is_seen_and_wants_a_token(ray_session: None):
    ours = [ray for ray in local_rays() if asks_for_token(ray.dashboard or "127.0.0.1:1", timeout_s=10)]
    assert ours
