"""The house rules: who may import whom, what is never called, what a tracked file never holds, what the README says."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ecgray import leads, tables

ROOT = Path(__file__).parents[1]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
COMMANDS = {"help", "env", "demo", "serve", "test", "check", "bench", "browser"}


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project: what git knows, and what it would if it were added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:  # no checkout: an unpacked archive
        found = (path for path in ROOT.rglob("*") if not {".venv", "runs", "build"} & set(path.relative_to(ROOT).parts))
    else:
        found = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(sorted(path for path in found if path.is_file()))


def texts(*endings: str) -> Iterator[tuple[str, str]]:
    for path in tracked():
        if not endings or path.suffix in endings:
            try:
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def modules() -> list[tuple[str, str]]:
    return list(texts(".py"))


# --- who may import whom


def test_rooms_import_one_way_only():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_room_stands_in_the_import_rules():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {room for layer in contracts[0]["layers"] for room in layer.split(" | ")}
    rooms = {f"ecgray.{path.stem}" for path in (ROOT / "ecgray").iterdir() if path.name[0].isalpha()}
    assert rooms == layers
    assert set(contracts[1]["source_modules"]) == rooms - {"ecgray.cluster"}


def test_every_module_outside_the_cluster_room_does_without_ray():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "ecgray") and "cluster" not in path.parts
    ]
    check = "import importlib, json, sys\nfor name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
    check += "assert 'ray' not in sys.modules and 'vllm' not in sys.modules"
    subprocess.run([sys.executable, "-c", check, json.dumps(names)], check=True, cwd=ROOT)


def test_annotations_are_checked_in_this_run():
    """The import hook of conftest.py is at work, also for names that are imported for type checkers only."""
    with pytest.raises(Exception, match=r"(?i)type-check"):
        leads.frontal_residual(np.zeros((11, 8)))  # lead=12
    with pytest.raises(Exception, match=r"(?i)type-check"):
        leads.derive_frontal(np.zeros(8), np.zeros(9))  # one time axis
    assert len(leads.derive_frontal(np.zeros(8), np.zeros(8))) == 4


# --- what is never called


def forbidden_calls(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names]
            full = named if isinstance(node, ast.Import) else [f"{node.module}.{name}" for name in named]
            for name in full:
                if re.match(r"(pickle|cPickle|dill|joblib|shelve|ray\.air|ray\.cloudpickle)(\.|$)", name):
                    yield f"line {node.lineno}: import {name}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        wrong = (
            called in {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "os.system", "os.popen"}
            or (called == "torch.load" and given.get("weights_only") != "True")
            or (called in {"np.load", "numpy.load"} and given.get("allow_pickle", "False") != "False")
            or (called == "ray.init" and "address" not in given)
            or given.get("shell") == "True"
            or given.get("trust_remote_code") == "True"
        )
        if wrong:
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from ray.air import session",
        "import ray.air.config",
        "eval('1')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "subprocess.run('ls', shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "ray.init()",
    ],
)
def test_the_ban_list_finds_what_it_forbids(source):
    assert list(forbidden_calls(source))


@pytest.mark.parametrize(
    "source",
    ["model.eval()", "torch.load(path, weights_only=True)", "ray.init(address='local')", "yaml.safe_load(text)"],
)
def test_the_ban_list_lets_the_rest_pass(source):
    assert not list(forbidden_calls(source))


def test_nothing_forbidden_is_called():
    found = {name: list(forbidden_calls(text)) for name, text in modules()}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_nothing_prints_below_the_jobs():
    """Figures are the job's to print; progress and notes go to stderr."""
    loud = [
        f"{name}:{node.lineno}"
        for name, text in modules()
        if name.startswith("ecgray/") and name != "ecgray/recipes/command.py"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
        if "file" not in {keyword.arg for keyword in node.keywords}
    ]
    assert loud == []


# --- what a tracked file never holds

REGISTRIES = [
    *(".".join(parts) for parts in [("pypi", "org"), ("pythonhosted", "org"), ("download.pytorch", "org")]),
    *(".".join(parts) for parts in [("anaconda", "org"), ("ghcr", "io"), ("quay", "io"), ("docker", "io")]),
    "files" + ".python",
]


def test_the_torch_index_is_the_only_address_of_a_registry():
    found = [
        f"{name}: {line.strip()}"
        for name, text in texts()
        for line in text.splitlines()
        if any(host in line for host in REGISTRIES)
    ]
    assert len(found) == 1, found
    assert re.fullmatch(r"Makefile: TORCH_INDEX \?= https://\S+/whl/cpu", found[0])


def test_what_installs_holds_no_other_address():
    for name, text in texts():
        if name == "Makefile" or name.startswith(("locks/", ".ci/", "pyproject", "cluster")):
            addresses = re.findall(r"\w+://(?!127\.0\.0\.1)\S+", text)
            assert len(addresses) == (name == "Makefile"), f"{name}: {addresses}"


def test_no_path_of_one_machine_is_written_down():
    place = re.compile(r"(?<![\w.~])/(work|root|home|Users|mnt|opt)/\w")
    found = [f"{name}: {line.strip()}" for name, text in texts() for line in text.splitlines() if place.search(line)]
    assert found == []


def test_code_is_ascii():
    assert [name for name, text in modules() if not name.startswith("tests/") and not text.isascii()] == []


def test_no_file_is_large():
    """But the weights of the two embedded models, which are two bytes for each of four million parameters."""
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked()}
    for name in ("ecgray/ner/embedded/model.safetensors", "ecgray/sediff/embedded/model.safetensors"):
        assert sizes.pop(name) < 10_000_000
    assert {name: size for name, size in sizes.items() if size > 5_000_000} == {}


# --- the jobs


def test_every_file_of_the_package_is_shipped():
    """What an installed copy lacks, as a chat template, is missed only where it is used."""
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["ecgray"]
    ends = (".py", *(pattern.removeprefix("**/").removeprefix("*") for pattern in shipped))
    package = [path for path in tracked() if path.is_relative_to(ROOT / "ecgray")]
    assert package
    assert [path.name for path in package if not path.name.endswith(ends)] == []


def test_there_are_jobs():
    assert JOBS


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_a_job_says_how_it_is_called(job):
    meaning = ast.get_docstring(ast.parse(job.read_text())) or ""
    assert re.search(rf"^\s*\$ python jobs/{job.name} \w+", meaning, re.MULTILINE), meaning


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_help_comes_at_once(job):
    """Under two CPU seconds, because neither Ray nor torch is imported for it."""
    check = (
        "import runpy, sys\n"
        f"sys.argv = [{str(job)!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'ray', 'torch', 'transformers', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "debug" in done.stdout, "the recipes are named"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_wrong_usage_ends_with_status_2(job):
    done = subprocess.run([sys.executable, job, "no-such-recipe"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# --- what is documented


def schemas() -> dict[str, pa.Schema]:
    return {name: value for name, value in vars(tables).items() if isinstance(value, pa.Schema)}


@pytest.mark.parametrize("name", schemas())
def test_every_column_of_a_table_has_a_meaning(name):
    assert [field.name for field in schemas()[name] if not (field.metadata or {}).get(b"meaning")] == []


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_makefile_offers_the_public_commands():
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True)
    assert set(re.findall(r"^  make (\w+)", shown.stdout, re.MULTILINE)) == COMMANDS
    assert targets() >= COMMANDS


def test_commands_in_the_documents_exist():
    for name, text in texts(".md"):
        unknown = set(re.findall(r"(?:`|^\s*)make ([a-z]+)", text, re.MULTILINE)) - targets()
        assert not unknown, f"{name}: make {unknown}"
        for script in re.findall(r"python ((?:jobs|benchmarks|locks)/[a-z_0-9]+\.py)", text):
            assert (ROOT / script).exists(), f"{name}: {script}"


def test_the_readme_leads_to_the_demo_and_the_tests():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_links_between_documents_lead_somewhere():
    for name, text in texts(".md"):
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", text):
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"
