"""The doctor: every line has a colour and a remedy, nothing hangs, nothing is started, no secret is said."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from scripted_service import answer, refusal, scripted

import ecgray.cluster  # once, before the environment is changed: it sets what Ray reads when it is imported
from ecgray.commands import holdings, machine, main
from ecgray.commands.doctor import Doctor, checks_of, show
from ecgray.commands.findings import Finding, fix, good, look, run_checks
from ecgray.commands.screen import coloured

VARIABLES = ("RAY_ADDRESS", "RAY_TMPDIR", "HF_HUB_OFFLINE", "NO_COLOR", "ECGRAY_TOKEN")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *holdings._SWITCHES):
        monkeypatch.delenv(name, raising=False)


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


# --- the frame


def test_a_check_that_hangs_or_breaks_is_a_line_and_not_the_end():
    def hang() -> list[Finding]:
        time.sleep(60)
        return []

    def break_() -> list[Finding]:
        raise RuntimeError("with a secret")

    began = time.monotonic()
    found = run_checks({"slow": hang, "broken": break_, "well": lambda: [good("well", "yes")]}, within_s=0.3)
    assert time.monotonic() - began < 2
    assert [(each.name, each.level) for each in found] == [("slow", "look"), ("broken", "look"), ("well", "ok")]
    assert found[0].says == "no answer within 0.3 s"
    assert "secret" not in found[1].says


def test_what_is_not_well_says_what_to_do(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(AssertionError):
        Finding("disk", "fix", "full")
    show([good("a", "well"), look("b", "so so", "mend it"), fix("c", "bad\x1b[2J", "mend it now")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["ok    a             well", "look  b             so so"]
    assert lines[2].strip() == "-> mend it"
    assert lines[3] == "fix   c             bad?[2J"
    assert lines[-1] == "1 to fix, 1 to look at."


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch):
    assert coloured("a", "red") == "a"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("a", "red") == "\x1b[31ma\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("a", "red") == "a"


def test_this_machine_is_looked_at_in_time(capsys: pytest.CaptureFixture[str]):
    """Under ten seconds, no Ray started, one object where JSON is asked for."""
    began = time.monotonic()
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--json"])
    assert time.monotonic() - began < 10
    said = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in said["findings"]}
    assert set(found) >= {"python", "packages", "torch", "machine", "disk", "ray", "telemetry", "models", "port"}
    assert (found["packages"]["level"], found["models"]["level"]) == ("ok", "ok"), "as make env made it"
    assert caught.value.code == int(not said["ok"])
    assert said["ok"] == all(finding["level"] != "fix" for finding in said["findings"])


def test_what_is_named_is_checked_besides():
    plain = set(checks_of(Doctor()))
    asked = Doctor(server="http://x", serve_config=Path("c"), model=(Path("m"),), data=(Path("d"),))
    assert set(checks_of(asked)) - plain == {"service", "serve config", "model", "archive"}


# --- the machine


def test_a_package_out_of_range_is_red(monkeypatch: pytest.MonkeyPatch):
    wanted = ["numpy>=99", "not-there>=1", "tqdm>=4", "pytest>=99; extra == 'dev'"]
    monkeypatch.setattr(machine.metadata, "requires", lambda name: wanted)
    found = machine.packages()
    assert levels(found[:2]) == ["fix", "fix"]
    assert found[0].says.endswith("is not >=99")
    assert "not-there is not installed" in found[1].says
    assert not any("tqdm" in each.says or "pytest" in each.says for each in found)


def test_the_limits_of_a_container_count(tmp_path: Path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 64000000 kB\nMemAvailable:   32000000 kB\n")
    (found,) = machine.cores_and_memory(tmp_path / "none", meminfo)
    assert "32.8 GB of memory free" in found.says
    for name, text in {"cpu.max": "50000 100000", "memory.max": "4000000000", "memory.current": "2500000000"}.items():
        (tmp_path / name).write_text(text + "\n")
    (found,) = machine.cores_and_memory(tmp_path, meminfo)
    assert found.says == "0.5 cores, 1.5 GB of memory free within the container"
    assert found.level == "fix"
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (found,) = machine.cores_and_memory(tmp_path, meminfo)
    assert "32.8 GB" in found.says


def test_a_full_disk_is_red_and_a_small_shm_says_what_docker_needs(monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")

    def free(place: Path) -> usage:
        return usage(1, 1, 64 << 20 if str(place) == "/dev/shm" else 100 << 20)

    monkeypatch.setattr(shutil, "disk_usage", free)
    found = machine.disks()
    assert levels(found) == ["fix", "fix", "fix", "look"]
    assert found[3].remedy == "docker run --shm-size=2g"


def test_a_port_that_another_program_holds_is_yellow():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.listen()
        assert levels(machine.port(port)) == ["look"]
    assert levels(machine.port(port)) == ["ok"]
    with scripted(answer({"ecgray": "0.1.0", "api": "v1"})) as script:
        (found,) = machine.port(int(script.address.rpartition(":")[2]))
    assert "a service of ecgray 0.1.0 answers there" in found.says


# --- what ecgray works with


def test_a_damaged_model_is_red(tmp_path: Path):
    embedded = Path(ecgray.__file__).parent / "waveform" / "delineator" / "embedded"
    shutil.copytree(embedded, tmp_path / "out" / "model")
    assert levels(holdings.own_models([tmp_path / "out"])) == ["ok"]
    with (tmp_path / "out" / "model" / "config.json").open("a") as file:
        file.write(" ")
    assert levels(holdings.own_models([tmp_path / "out", tmp_path])) == ["fix", "fix"]
    assert levels(holdings.shipped_models()) == ["ok"]


def test_archives_are_told_apart(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ptbxl_database.csv").write_text("ecg_id\n")
    found = holdings.archives([tmp_path / "a", tmp_path / "none", tmp_path])
    assert levels(found)[:2] == ["ok", "fix"]
    assert found[0].says.endswith("laid out as ptb-xl")
    assert levels(found)[2] == "fix"


@pytest.mark.real
def test_real_archives_are_told_apart(real_data: Path):
    found = holdings.archives([real_data / "ptbxl", real_data / "ludb", real_data / "cpsc2018"])
    assert [each.says.rpartition(" ")[2] for each in found] == ["ptb-xl", "ludb", "cpsc2018"]


def test_telemetry_that_the_environment_switches_on_is_yellow(monkeypatch: pytest.MonkeyPatch):
    assert levels(holdings.telemetry()) == ["ok"]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    (found,) = holdings.telemetry()
    assert (found.level, "RAY_USAGE_STATS_ENABLED" in found.says) == ("look", True)


def test_a_service_says_how_it_is():
    models = answer({"models": [{"name": "classifier", "version": "0.1.0", "sha256": "abc"}]})
    with scripted(answer({"ecgray": "0.1.0"}), answer({}), models) as script:
        (found,) = holdings.service(script.address)
        assert (found.level, "is ready: classifier 0.1.0 (abc)" in found.says) == ("ok", True)
    with scripted(answer({"ecgray": "0.1.0"}), refusal(503, "not_ready"), models) as script:
        assert levels(holdings.service(script.address)) == ["look"]
    with scripted(refusal(401, "token_missing")) as script:
        (found,) = holdings.service(script.address)
        assert (found.level, found.remedy) == ("fix", "give the token as ECGRAY_TOKEN")
    assert levels(holdings.service("http://127.0.0.1:1")) == ["fix"]


def test_a_serve_config_is_checked_as_the_job_checks_it(tmp_path: Path):
    path = tmp_path / "serve.yaml"
    path.write_text("applications: [{name: a, import_path: some.module:app}]\nhttp_option: {port: 8000}\n")
    (found,) = holdings.serve_config(path)
    assert (found.level, "http_option is no key of Ray Serve" in found.says) == ("fix", True)
    path.write_text("applications: [{name: a, import_path: some.module:app}]\nhttp_options: {port: 8000}\n")
    assert levels(holdings.serve_config(path)) == ["ok"]
    assert levels(holdings.serve_config(tmp_path / "none.yaml")) == ["fix"]


def test_no_secret_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("RAY_ADDRESS", "http://me:secret-one@127.0.0.1:1")
    for name in ("ECGRAY_TOKEN", "RAY_AUTH_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(name, "secret-two")
    monkeypatch.setattr(machine, "torch", lambda: [])
    with pytest.raises(SystemExit):
        main(["doctor", "--server", "http://me:secret-three@127.0.0.1:1"])
    said = capsys.readouterr()
    assert "nobody answers at RAY_ADDRESS (127.0.0.1:1)" in said.out
    assert "secret" not in said.out + said.err
