"""An output folder holds one run and has one writer."""

import dataclasses
import errno
import fcntl
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from ecgray.errors import ClusterError, ConfigError
from ecgray.output import output_folder, write_bytes


@dataclass(frozen=True, kw_only=True)
class Settings:
    out: Path
    source: Path
    steps: int = 3


def run(settings: Settings, *, finish: bool = True) -> dict | None:
    with output_folder(settings.out, settings, inputs={"source": settings.source}) as folder:
        if finish and folder.done is None:
            folder.finish({"answer": 42})
        return folder.done


@pytest.fixture
def settings(tmp_path) -> Settings:
    source = tmp_path / "source.txt"
    source.write_text("one")
    return Settings(out=tmp_path / "out", source=source)


def test_a_finished_run_is_not_done_again(settings):
    assert run(settings) is None
    assert run(settings) == {"answer": 42}


def test_an_unfinished_run_goes_on(settings):
    run(settings, finish=False)
    assert run(settings) is None


def test_other_settings_are_refused_by_name(settings):
    run(settings)
    with pytest.raises(ConfigError, match="differs in steps"):
        run(Settings(out=settings.out, source=settings.source, steps=4))


def test_a_changed_input_is_refused(settings):
    run(settings)
    settings.source.write_text("two, longer")
    with pytest.raises(ConfigError, match="differs in the input"):
        run(settings)


def test_a_missing_input_is_named(settings, tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        run(Settings(out=settings.out, source=tmp_path / "nowhere"))


def test_what_an_unfinished_job_left_is_refused(settings, tmp_path):
    """A part of a table would be taken for the whole."""
    first = Settings(out=tmp_path / "first", source=settings.source)
    run(first, finish=False)
    (first.out / "records").mkdir()
    for source in (first.out, first.out / "records"):
        with pytest.raises(ConfigError, match="has not finished"):
            run(Settings(out=settings.out, source=source))
    run(first)
    for number, source in enumerate((first.out, first.out / "records")):
        assert run(Settings(out=tmp_path / f"second-{number}", source=source)) is None


def test_a_command_that_was_refused_leaves_the_folder_free(settings):
    with pytest.raises(ConfigError, match="typo"), output_folder(settings.out, settings, inputs={}):
        raise ConfigError("a typo")
    assert run(dataclasses.replace(settings, steps=4)) is None


@pytest.mark.parametrize("below", ["", "deeper/still"])
@pytest.mark.parametrize("there", [False, True])
def test_what_is_refused_leaves_nothing_behind(settings, tmp_path, below, there):
    out = settings.out / below
    if there:
        out.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="does not exist"):
        run(dataclasses.replace(settings, out=out, source=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="typo"), output_folder(out, settings, inputs={}):
        raise ConfigError("a typo")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_needs_a_folder_of_its_own(settings, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for empty in ("", "."):
        with pytest.raises(ConfigError, match="out is empty, or the current folder; name"):
            run(dataclasses.replace(settings, out=Path(empty)))
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_name_that_no_folder_can_have_is_said(settings, tmp_path, below):
    with pytest.raises(ConfigError, match=r"cannot be written \(File name too long\); give an --out"):
        run(dataclasses.replace(settings, out=tmp_path / ("x" * 300) / below))
    assert not settings.out.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_setting_that_is_no_number_is_named(settings, value):
    @dataclass(frozen=True, kw_only=True)
    class More(Settings):
        inner: dict
        rates: tuple = ()

    for name, changes in {"inner.rate": {"inner": {"rate": value}}, "rates.1": {"rates": (1.0, value)}}.items():
        more = More(**({"out": settings.out, "source": settings.source, "inner": {}} | changes))
        with pytest.raises(ConfigError, match=f"{name}={value} is not finite"):
            run(more)
    assert not settings.out.exists()


def test_what_was_done_before_a_refusal_stays(settings):
    def begin() -> None:
        with output_folder(settings.out, settings, inputs={}) as folder:
            (folder.path / "part").touch()
            raise ConfigError("a typo")

    with pytest.raises(ConfigError, match="typo"):
        begin()
    assert {path.name for path in settings.out.iterdir()} == {"part", "config.json", ".lock"}


def test_a_folder_inside_its_input_goes_on(settings):
    """It is made before the input's names are looked at, so that they are the same the second time."""
    inside = Settings(out=settings.out / "inside", source=settings.out)
    run(inside, finish=False)
    assert run(inside) is None


def test_a_lock_on_a_file_that_its_holder_removed_does_not_count(settings, monkeypatch):
    def flock_late(file: IO, operation: int) -> None:
        monkeypatch.undo()
        (settings.out / ".lock").unlink()
        settings.out.rmdir()
        fcntl.flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    with (
        output_folder(settings.out, settings, inputs={}),
        (settings.out / ".lock").open() as file,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_disk_without_locks_is_said(settings, monkeypatch):
    def no_locks(file: IO, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(ClusterError, match=r"gives no locks \(No locks available\)"):
        run(settings)
    assert not settings.out.exists()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_place_of_the_folder_is_said(settings, tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"cannot be written \((File exists|Not a directory)\)"):
        run(dataclasses.replace(settings, out=tmp_path / "file" / below))


@pytest.mark.parametrize("text", ["{ not json", "[]", '{"model_type": "bert"}'])
def test_a_folder_with_a_foreign_config_is_left_alone(settings, text):
    settings.out.mkdir()
    (settings.out / "config.json").write_text(text)
    with pytest.raises(ConfigError, match="written by no job of ecgray"):
        run(settings)
    assert (settings.out / "config.json").read_text() == text
    assert [path.name for path in settings.out.iterdir()] == ["config.json"]


WRITER = """
import sys, time
from pathlib import Path
from ecgray.output import output_folder
from ecgray.recipes.label import LabelConfig
out = Path(sys.argv[1])
with output_folder(out, LabelConfig(records=out, out=out), inputs={}):
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_while_the_first_lives_and_no_longer(settings):
    first = subprocess.Popen([sys.executable, "-c", WRITER, settings.out], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "writing\n"
    with pytest.raises(ClusterError, match=f"another job .*{first.pid}"):
        run(settings)
    first.kill()
    first.communicate()
    (settings.out / "config.json").unlink()
    assert run(settings) is None


def test_config_json_says_what_made_the_folder(settings):
    run(settings)
    config = json.loads((settings.out / "config.json").read_text())
    assert config["settings"]["steps"] == 3
    assert set(config["inputs"]) == {"source"}
    assert config["version"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    write_bytes(tmp_path / "a.txt", b"one")
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"one"
