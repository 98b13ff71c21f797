"""Make .venv from the pinned versions; `make env` calls it.

    $ python3.11 locks/install.py --variant cpu

A virtual environment; uv, fetched by pip and held against its hash; what the lock names, fetched by uv, every file held
against its hash; the project itself, editable. uv does not read pip's configuration, so it is handed over here: index,
extra indexes, find-links, certificate, proxy and so on keep their meaning. Standard library only.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
VENV = ROOT / ".venv"
VARIANTS = ("cpu", "gpu")

LISTS = ("extra-index-url", "find-links", "trusted-host")
"""The pip settings that hold several values, parted by spaces or line ends."""
ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url"}
PINNED = ("--no-deps", "--require-hashes", "--requirements", "-")
BY_PIP = ("soundfile",)
"""What pip installs: uv takes a version's files from one index only, and a partial mirror may lack this platform's."""
SECTIONS = ("global", "install")
"""Sections of pip's configuration that `pip install` reads; a later one overrides an earlier one."""


@dataclass(frozen=True)
class UvSettings:
    """Where uv looks for packages: `environ` for what may hold a password, `flags` for the rest."""

    environ: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


def pip_settings(config_list: Iterable[str], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """What pip would go by, from the lines of `pip config list` and the PIP_* variables (which win).

    >>> pip_settings(["global.index-url='here'", "install.no-index='true'"], {"PIP_FIND_LINKS": "/a /b"})
    {'index-url': ['here'], 'no-index': ['true'], 'find-links': ['/a', '/b']}
    """
    given: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in config_list:
        place, _, value = line.strip().partition("=")
        section, _, name = place.partition(".")
        if section in given and value:
            given[section][name] = str(ast.literal_eval(value))
    variables = {name.removeprefix("PIP_"): value for name, value in environ.items() if name.startswith("PIP_")}
    settings: dict[str, list[str]] = {}
    for source in (*given.values(), variables):
        for name, value in source.items():
            plain = name.lower().replace("_", "-")
            plain = ALIASES.get(plain, plain)
            if value.strip():  # pip passes over empty values
                settings[plain] = value.split() if plain in LISTS else [value.strip()]
    return settings


def uv_settings(pip: Mapping[str, list[str]]) -> UvSettings:
    """The same for uv.

    pip weighs all its indexes alike; uv does so with unsafe-best-match only. The hashes of the lock make it safe.
    """
    environ = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for name, variable in {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
        "client-cert": "SSL_CLIENT_CERT",
        "proxy": "ALL_PROXY",
        "timeout": "UV_HTTP_TIMEOUT",
    }.items():
        if name in pip:
            environ[variable] = " ".join(pip[name])
    flags = []
    for place in pip.get("find-links", []):
        flags.append("--find-links=" + (str(Path(place).expanduser()) if place.startswith("~") else place))
    if pip.get("no-index", ["0"])[0].lower() in {"1", "true", "yes", "y", "on", "t"}:
        flags.append("--no-index")
    return UvSettings(environ, flags)


def split_lock(text: str) -> tuple[str, str]:
    r"""Part a lock into the pins of a local version (torch==2.13.0+cpu, on no common index) and the others.

    >>> split_lock("torch==2.13.0+cpu --hash=sha256:aa\ntqdm==4.70.1 --hash=sha256:bb\n")
    ('torch==2.13.0+cpu --hash=sha256:aa\n', 'tqdm==4.70.1 --hash=sha256:bb\n')
    """
    local = [pin for pin in _pins(text) if "+" in pin.split()[0]]
    return "".join(local), "".join(pin for pin in _pins(text) if pin not in local)


def take_out(text: str, names: Iterable[str]) -> tuple[str, str]:
    r"""The pins of these packages, and the lock without them.

    >>> take_out("torch==2 --hash=sha256:aa\ntqdm==4 --hash=sha256:bb\n", ["tqdm"])
    ('tqdm==4 --hash=sha256:bb\n', 'torch==2 --hash=sha256:aa\n')
    """
    taken = [pin for pin in _pins(text) if pin.partition("==")[0] in names]
    return "".join(taken), "".join(pin for pin in _pins(text) if pin not in taken)


def _pins(text: str) -> list[str]:
    return re.findall(r"^\S(?:.*\\\n)*.*\n", text, re.MULTILINE)


def main() -> None:
    """Make the environment, unless its stamp says that nothing changed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--variant", choices=VARIANTS, default="cpu")
    parser.add_argument("--torch-index", default="", help="where torch's CPU build is, if find-links do not hold it")
    options = parser.parse_args()
    lock = LOCKS / f"{options.variant}-py311-linux-x86_64.txt"
    stamp = VENV / f"{options.variant}.stamp"
    mark = _mark([lock, LOCKS / "uv.txt", ROOT / "pyproject.toml", Path(__file__)])
    if stamp.exists() and stamp.read_text() == mark:
        stamp.touch()
        return
    _check_machine()
    began = time.monotonic()
    _say(f"making .venv from {lock.relative_to(ROOT)} (a few minutes the first time)")
    for variant in VARIANTS:
        (VENV / f"{variant}.stamp").unlink(missing_ok=True)
    _install_uv()
    _install_lock(lock.read_text(), options.torch_index)
    # compat: a path, not an import hook, which a folder of the project's name beside a script would hide
    editable = ["--config-settings", "editable_mode=compat", "--editable", str(ROOT)]
    _uv(["--no-build-isolation", "--no-deps", *editable], _configured())
    stamp.write_text(mark)
    _say(f".venv is ready ({time.monotonic() - began:.0f} s)")


def _mark(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _check_machine() -> None:
    here = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform} {platform.machine()}"
    fits = sys.version_info[:2] == (3, 11) and sys.platform == "linux" and platform.machine() == "x86_64"
    if not fits or platform.python_implementation() != "CPython":
        raise SystemExit(
            f"This is {here}; the locks are for CPython 3.11 on linux x86_64. Name another interpreter with "
            "`make env PYTHON=/path/to/python3.11`."
        )
    if VENV.exists() and not (VENV / "bin" / "python").exists():
        raise SystemExit(f"{VENV} holds no interpreter; delete it and run the command again.")


def _install_uv() -> None:
    if not (VENV / "bin" / "python").exists():
        _run([sys.executable, "-m", "venv", str(VENV)])
    _pip(LOCKS / "uv.txt")


def _pip(pins: Path) -> None:
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(pins)])


def _install_lock(text: str, torch_index: str) -> None:
    settings = _configured()
    by_pip, text = take_out(text, BY_PIP)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(by_pip)
        file.flush()
        _pip(Path(file.name))
    local, common = split_lock(text)
    # == would take 2.13.0+cpu for CUDA's 2.13.0 where find-links hold it
    common = re.sub(r"(?m)^torch==", "torch===", common)
    if local:
        _install_local_versions(local, settings, torch_index)
    # Compiled once here: else every process does it where PYTHONDONTWRITEBYTECODE is set, as in many containers.
    _uv([*PINNED, "--compile-bytecode"], settings, text=common)


def _install_local_versions(pins: str, settings: UvSettings, torch_index: str) -> None:
    """From where pip looks if it lies there, else from `torch_index`."""
    names = " ".join(line.split()[0] for line in pins.splitlines() if "==" in line)
    places = settings
    if not _uv([*PINNED, "--dry-run"], settings, text=pins, silent=True):
        if not torch_index or "--no-index" in settings.flags:
            raise SystemExit(f"env: {names} does not lie where pip looks; name its folder in PIP_FIND_LINKS.")
        _say(f"{names} from {torch_index}")
        places = UvSettings({**settings.environ, "UV_DEFAULT_INDEX": torch_index, "UV_INDEX": ""}, [])
    if not _uv([*PINNED, "--compile-bytecode"], places, text=pins, may_fail=True):
        raise SystemExit(
            f"env: {names} could not be fetched. Name a folder that holds its wheel in PIP_FIND_LINKS, "
            "or another index in TORCH_INDEX."
        )


def _configured() -> UvSettings:
    listed = subprocess.run(
        [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "config", "list"],
        check=True,
        capture_output=True,
        text=True,
    )
    return uv_settings(pip_settings(listed.stdout.splitlines(), os.environ))


def _uv(
    arguments: list[str], settings: UvSettings, *, text: str = "", silent: bool = False, may_fail: bool = False
) -> bool:
    """Run `uv pip install`, its bars shown on a terminal; whether it went well."""
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(VENV / "bin" / "python"), *settings.flags]
    if not sys.stderr.isatty():
        command.append("--quiet")
    command += arguments
    return _run(command, environ=settings.environ, text=text, silent=silent, may_fail=silent or may_fail)


def _run(
    command: list[str],
    *,
    environ: Mapping[str, str] | None = None,
    text: str = "",
    silent: bool = False,
    may_fail: bool = False,
) -> bool:
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        input=text,
        text=True,
        capture_output=silent,
    )
    if done.returncode and not may_fail:
        raise SystemExit(f"env: `{' '.join(command[:3])} ...` failed with status {done.returncode}; see above.")
    return done.returncode == 0


def _say(text: str) -> None:
    print(f"env: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
