"""Run a job as a user does, for the benchmarks that are chains of jobs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def run_job(job: str, *words: str, **named: Path | str) -> dict[str, Any]:
    """Run `python jobs/JOB.py laptop ...`; says the command, returns the object of its last line."""
    flags = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    command = ["jobs/" + job + ".py", "laptop", *flags, *words]
    print("$ python", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
