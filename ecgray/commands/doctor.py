"""`ecgray doctor`: is everything there, and what to do about what is not, on one screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from ecgray.commands import holdings, machine
from ecgray.commands.findings import Check, Finding, run_checks
from ecgray.commands.screen import coloured, plain, say, say_json

WITHIN_S = 9.0
_COLOURS = {"ok": "green", "look": "yellow", "fix": "red"}
_Paths = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check this machine: versions, Ray, disks, models, data. Starts nothing, changes nothing, tells nobody."""

    server: str | None = None
    """A service that should answer, as http://127.0.0.1:8000; its token is taken from ECGRAY_TOKEN."""
    serve_config: Path | None = None
    """A config of `serve deploy` to be checked."""
    model: _Paths = ()
    """A model folder to be checked; several times for several."""
    data: _Paths = ()
    """An archive whose layout is to be told; several times for several."""
    json: bool = False
    """Print one JSON object."""


def run(command: Doctor) -> int:
    """Check all, say all; 1 where something is red."""
    findings = run_checks(checks_of(command), within_s=WITHIN_S)
    red = any(finding.level == "fix" for finding in findings)
    if command.json:
        say_json({"ok": not red, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        show(findings)
    return int(red)


def checks_of(command: Doctor) -> dict[str, Check]:
    """What is to be checked, in the order in which it is said."""
    checks: dict[str, Check] = {
        "python": machine.python,
        "packages": machine.packages,
        "torch": machine.torch,
        "machine": machine.cores_and_memory,
        "disk": machine.disks,
        "ray": holdings.joined_ray,
        "other rays": holdings.other_rays,
        "telemetry": holdings.telemetry,
        "models": holdings.shipped_models,
        "hugging face": holdings.hugging_face,
        "port": machine.port,
        "programs": machine.programs,
    }
    if command.model:
        checks["model"] = partial(holdings.own_models, command.model)
    if command.data:
        checks["archive"] = partial(holdings.archives, command.data)
    if command.serve_config is not None:
        checks["serve config"] = partial(holdings.serve_config, command.serve_config)
    if command.server is not None:
        checks["service"] = partial(holdings.service, command.server)
    return checks


def show(findings: Sequence[Finding]) -> None:
    """A line each; below a yellow or red one, what to do."""
    for finding in findings:
        mark = coloured(f"{finding.level:<4}", _COLOURS[finding.level])
        say(f"{mark}  {finding.name:<13} {plain(finding.says)}")
        if finding.level != "ok":
            say(f"      {'':<13} -> {plain(finding.remedy)}")
    counts = {level: sum(finding.level == level for finding in findings) for level in _COLOURS}
    if counts["fix"]:
        say(coloured(f"{counts['fix']} to fix, {counts['look']} to look at.", "red"))
    elif counts["look"]:
        say(coloured(f"Nothing to fix, {counts['look']} to look at.", "yellow"))
    else:
        say(coloured("All is well.", "green"))
