"""Recipes of jobs/serve.py.

debug    one replica of each model on two cores, small limits: for tests and a first look.
laptop   the same with what two cores can carry.
paper    on a cluster: replicas come and go with the load, each a part of a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Answer over HTTP: the classifier and the generator on Ray Serve."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ()

    classifier: Path | None = None
    """OUT of a pretrain job, or its model folder; the small one that ships by default."""
    generator: Path | None = None
    """OUT of a train_diffusion job, or its model folder; the small one that ships by default."""
    models: tuple[Literal["classifier", "generator"], ...] = ("classifier", "generator")
    """Which are served."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs a bearer token in ECGRAY_TOKEN."""
    port: int = 8000
    """Port to listen on."""
    front: Literal["direct", "proxy"] = "direct"
    """direct: replicas of the app listen themselves, on one port, which is fast; proxy: Serve's proxy on every node."""
    front_replicas: int = 1
    """Replicas of the app itself, which checks and decodes what comes."""

    classifier_replicas: int = 1
    """Replicas of the classifier, at the least."""
    classifier_most: int = 1
    """At the most: between the two they come and go with the load."""
    generator_replicas: int = 1
    """Replicas of the generator, at the least."""
    generator_most: int = 1
    """At the most."""
    cpus: float = 0.5
    """CPUs that Ray keeps for each replica."""
    threads: int = 1
    """Threads of each replica's passes."""
    classifier_gpu: float = 0.0
    """Part of a GPU for each replica of the classifier; 0: it answers on a CPU."""
    generator_gpu: float = 0.0
    """Part of a GPU for each replica of the generator."""
    bf16: bool = False
    """Draw in bfloat16."""

    reading: int = 48
    """Recordings that are being answered or wait, for each replica of the app; beyond it 429."""
    writing: int = 64
    """ECGs that are being drawn or wait; beyond it 429."""
    drawn_together: int = 16
    """ECGs in one batch of the generator."""
    answer_s: float = 30.0
    """Seconds in which an answer must be ready."""
    generate_s: float = 600.0
    """Seconds in which a request to generate must be done."""
    drain_s: float = 20.0
    """Seconds that what is under way has when the service ends."""
    watch_s: float = 5.0
    """Seconds between two looks at the model folders: one that was replaced is taken from then on; 0: never."""

    for_s: float = 0.0
    """Seconds after which to end; 0: at Ctrl-C or SIGTERM."""
    write: Path | None = None
    """Write this as a config file for `serve deploy`, and end."""
    check: Path | None = None
    """Check such a file offline, unknown keys too, and end."""

    def __post_init__(self) -> None:
        at_least_one(self, "front_replicas", "classifier_replicas", "generator_replicas", "threads", "reading")
        at_least_one(self, "writing", "drawn_together")
        above_zero(self, "cpus", "answer_s", "generate_s")
        if not 1 <= self.port <= 65_535:
            raise ConfigError(f"port={self.port} must lie between 1 and 65535.")
        for name in ("classifier", "generator"):
            least, most = getattr(self, f"{name}_replicas"), getattr(self, f"{name}_most")
            if most < least:
                raise ConfigError(f"{name}_most={most} must be at least {name}_replicas={least}.")
            if not 0 <= getattr(self, f"{name}_gpu") <= 8:
                raise ConfigError(f"{name}_gpu={getattr(self, f'{name}_gpu')} must lie between 0 and 8.")
        if not self.models:
            raise ConfigError("models is empty, so there is nothing to serve; name classifier, generator or both.")
        if min(self.drain_s, self.watch_s, self.for_s) < 0:
            raise ConfigError(
                f"drain_s={self.drain_s}, watch_s={self.watch_s} and for_s={self.for_s} must not be below 0."
            )
        if self.drawn_together > self.writing:
            raise ConfigError(
                f"drawn_together={self.drawn_together} is more than the {self.writing} ECGs that are let in (writing)."
            )


SERVE = {
    "debug": ServeConfig(watch_s=1.0),
    "laptop": ServeConfig(),
    "paper": ServeConfig(
        front="proxy",
        front_replicas=4,
        cpus=2,
        threads=2,
        classifier_most=4,
        classifier_gpu=0.25,
        generator_most=4,
        generator_gpu=0.5,
        bf16=True,
        reading=256,
        writing=1024,
        drawn_together=256,
    ),
}
