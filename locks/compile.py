"""Write the locks anew; `make lock` calls it, then read the difference before you commit it.

    $ .venv/bin/python locks/compile.py

A version that a lock holds stays as long as pyproject allows it; delete the pin's lines (or the file) to move it on.
pip's extra indexes are left out: an index that mirrors a part of another knows a part of the hashes only, and a lock
made from it would not install elsewhere. find-links stay: torch's CPU build may lie there.
"""

from __future__ import annotations

import os
import subprocess
import sys

from install import LOCKS, ROOT, VENV, UvSettings, pip_settings, uv_settings

UV = "uv==0.13.9"
TARGET = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
PLAIN = ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]


def main() -> None:
    """Compile uv's own pin, the CPU lock and the GPU lock."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    pip = pip_settings(listed, os.environ)
    pip.pop("extra-index-url", None)
    settings = uv_settings(pip)
    project = str(ROOT / "pyproject.toml")
    _compile(settings, ["-"], "uv.txt", text=UV)
    overrides = ["--overrides", str(LOCKS / "cpu-overrides.txt")]
    _compile(settings, [project, "--extra=cpu", "--extra=dev", *overrides], "cpu-py311-linux-x86_64.txt")
    # a find-links folder that holds torch's CPU build would win over the CUDA build
    _compile(UvSettings(settings.environ), [project, "--extra=gpu", "--extra=dev"], "gpu-py311-linux-x86_64.txt")


def _compile(settings: UvSettings, sources: list[str], name: str, *, text: str = "") -> None:
    print(f"lock: {name}", file=sys.stderr, flush=True)
    subprocess.run(
        [
            *[str(VENV / "bin" / "uv"), "pip", "compile", *TARGET, *PLAIN, *settings.flags],
            *["--output-file", str(LOCKS / name), *sources],
        ],
        check=True,
        env={**os.environ, **settings.environ},
        input=text,
        text=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
