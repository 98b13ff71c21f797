"""Engines that do what a text tells them: answer, raise, hang, die, answer garbage. The model folder is their log."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from ecgray.cluster.engine import EngineSettings, Said
from ecgray.text.prompt import Prompt

LOG = ".asked"


class Died(BaseException):
    """Stands for the end of the process, where a test has one only."""


class Echo:
    """Takes the whole text for a finding; "possible" makes it uncertain, "no " makes it nothing."""

    def __init__(self, settings: EngineSettings) -> None:
        self.log = settings.model / LOG

    def ask(self, texts: Sequence[str], prompt: Prompt, attempt: int) -> list[Said]:
        with self.log.open("a") as file:
            file.writelines(f"{text}\n" for text in texts)
        return [self.say(text, prompt, attempt) for text in texts]

    def say(self, text: str, prompt: Prompt, attempt: int) -> Said:
        if prompt.purpose == "merge":
            names = text.split("\n")
            return Said(json.dumps({"groups": [{"entity": names[-1], "members": names}]}), None, 5, 5)
        if "boom" in text:
            raise RuntimeError(f"raised on {text}")
        if "hang here" in text:
            time.sleep(1000)
        if "die here" in text:
            self.die()
        if "garbage" in text or ("flaky" in text and not attempt):
            return Said("{nonsense", None, 5, 5)
        if "endless" in text:
            return Said('{"unknown":', None, 5, 5, cut=True)
        certainty = "Uncertain" if "possible" in text else "Normal" if "normal" in text else "Abnormal"
        name = text.replace("possible ", "")
        entities = [{"cited": name, "entity": name, "certainty": certainty}] * (not text.startswith("no "))
        if "invented" in text:
            entities.append({"cited": "atrial flutter", "entity": "atrial flutter", "certainty": "Abnormal"})
        return Said(json.dumps({"unknown": "gibberish" in text, "entities": entities}), None, 5, 5)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Echo):
    """Dies by an exception that nobody catches."""

    def die(self) -> None:
        raise Died


class Slow(Echo):
    """Takes a quarter of a second a call."""

    def ask(self, texts: Sequence[str], prompt: Prompt, attempt: int) -> list[Said]:
        time.sleep(0.25)
        return super().ask(texts, prompt, attempt)


class Stillborn(Echo):
    """Raises where it should start."""

    def __init__(self, settings: EngineSettings) -> None:
        raise MemoryError("no memory for the weights")


class Crash(Echo):
    """Ends its process where it should start."""

    def __init__(self, settings: EngineSettings) -> None:
        os._exit(1)


class Asleep(Echo):
    """Never comes to an end of its start."""

    def __init__(self, settings: EngineSettings) -> None:
        time.sleep(1000)


def asked(model: Path) -> list[str]:
    """What was asked so far."""
    log = model / LOG
    return log.read_text().splitlines() if log.exists() else []
