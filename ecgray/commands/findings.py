"""What a check of `ecgray doctor` finds: a colour, a sentence, and what to do; all checks at once, none for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "look", "fix"]
Check = Callable[[], "list[Finding]"]


@dataclass(frozen=True)
class Finding:
    """One line."""

    name: str
    level: Level
    """ok; look: works, but look at it; fix: something will fail, or is open to others."""
    says: str
    remedy: str = ""
    """What to do about it; never empty where the level is not ok."""

    def __post_init__(self) -> None:
        assert self.remedy or self.level == "ok", f"{self.name}: say what to do"


def good(name: str, says: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", says)


def look(name: str, says: str, remedy: str) -> Finding:
    """It works, with a but."""
    return Finding(name, "look", says, remedy)


def fix(name: str, says: str, remedy: str) -> Finding:
    """It will not work, or is dangerous."""
    return Finding(name, "fix", says, remedy)


def run_checks(checks: Mapping[str, Check], *, within_s: float) -> list[Finding]:
    """Every check in a thread of its own; one that fails or hangs (as on a network disk that is gone) says so.

    The threads are daemons: one that hangs does not keep the command from ending.
    """
    found: dict[str, list[Finding]] = {}

    def run(name: str, check: Check) -> None:
        try:
            found[name] = check()
        except Exception as error:
            found[name] = [look(name, f"could not be checked ({type(error).__name__})", "please report it")]

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in checks.items()]
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {within_s:g} s"
    return [
        finding
        for name in checks
        for finding in found.get(name, [look(name, late, "is a disk or a network gone? run the command again")])
    ]
