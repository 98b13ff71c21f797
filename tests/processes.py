"""Killing what a test started: whole trees of processes, or one worker of Ray among them."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

import psutil


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """Driver, raylet, GCS, workers: all of them, at once, without a word, by process id."""
    driver = psutil.Process(process.pid)
    tree = [driver, *driver.children(recursive=True)]
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with its parent
            one.kill()
    process.communicate()
    psutil.wait_procs(tree[1:], timeout=20)


def workers_of(process: psutil.Process, name: str) -> list[psutil.Process]:
    """The living processes below this one whose command line holds `name`."""
    found = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill_worker(process: psutil.Process, name: str) -> bool:
    """Kill one living worker of that name; whether there was one."""
    for worker in workers_of(process, name):
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
            return True
    return False
