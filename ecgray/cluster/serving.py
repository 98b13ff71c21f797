"""The app and its models as deployments of Ray Serve; `build` makes the application, for a job and for `serve deploy`.

The app checks, decodes and makes recordings alike; the models have replicas of their own, so that drawing never delays
an answer. Between the two go batches: the app sends what has come while the last batch was under way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from ecgray.artifact import SUMS
from ecgray.cluster.listening import Listener
from ecgray.errors import ArtifactError, ConfigError
from ecgray.models.classifier import EMBEDDED as CLASSIFIER
from ecgray.models.generator import EMBEDDED as GENERATOR
from ecgray.recipes.serve import ServeConfig
from ecgray.service.backends import Accepted, Answered, Asked, Backends, Commission, Drawn, Explained, Progress
from ecgray.service.batching import Batcher
from ecgray.service.guard import log_requests
from ecgray.service.meters import Meters
from ecgray.service.problems import not_ready, overloaded
from ecgray.service.settings import ServiceSettings, in_url, is_loopback
from ecgray.service.watching import Watch, sums_of
from ecgray.settings import from_json

FLIGHTS = 4
"""Batches that one replica of the app may have under way at the classifier."""
MOST_RECORDINGS = 64
_CALLS = 16
QUIET = {"enable_access_log": False, "log_level": "ERROR"}
"""Serve's own lines name the number that a client gave its request; ours name the number that we gave it."""
_HEALTH: dict[str, Any] = {"health_check_period_s": 5.0, "health_check_timeout_s": 20.0}
_GONE = (RayActorError, DeploymentUnavailableError)
"""A replica that has died, or is just being replaced: asking again costs nothing but time."""
_BUSY = BackpressureConfig(status_code=429, retry_after_s=1)


class ClassifierReplica:
    """One classifier."""

    def __init__(self, folder: Path, gpu: bool, threads: int, watch_s: float) -> None:
        import torch

        from ecgray.service.local import LocalReader

        torch.set_num_threads(threads)
        seen = sums_of(folder)
        self._reader = LocalReader(folder, device="cuda" if gpu else "cpu")
        self._watch = Watch(folder, self._reader.reload, every_s=watch_s, seen=seen) if watch_s else None

    async def answer(self, many: Sequence[Asked]) -> list[Answered]:
        """In one pass with whatever else has come."""
        return await self._reader.answer_all(many)

    async def explain(self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str) -> Explained:
        """Where an answer comes from."""
        return await self._reader.explain(counts, query)

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return await self._reader.facts()


class DelineatorReplica:
    """The delineator that ships."""

    def __init__(self, threads: int) -> None:
        import torch

        from ecgray.service.local import LocalMeasurer

        torch.set_num_threads(threads)
        self._measurer = LocalMeasurer(stand_back=True)

    async def measure(self, counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> list[dict[str, Any]]:
        """Intervals of each recording."""
        return await self._measurer.measure(counts)


class GeneratorReplica:
    """One generator."""

    def __init__(self, folder: Path, gpu: bool, threads: int, watch_s: float, together: int, bf16: bool) -> None:
        import torch

        from ecgray.service.local import LocalWriter

        torch.set_num_threads(threads)
        seen = sums_of(folder)
        self._writer = LocalWriter(
            folder, device="cuda" if gpu else "cpu", most=together, bf16=bf16, stand_back=not gpu
        )
        self._watch = Watch(folder, self._writer.reload, every_s=watch_s, seen=seen) if watch_s else None

    async def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn | Unable]:
        """Step by step."""
        try:
            async for event in self._writer.draw(commission):
                yield event
        except ConfigError:  # Serve would write its sentence, which names what was asked for, into its log
            yield Unable()

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return await self._writer.facts()

    def check_health(self) -> None:
        """Raise where the thread that draws has died."""
        if not self._writer.engine.loop.alive:
            raise RuntimeError("the drawing thread has died")


async def _asked(handle: DeploymentHandle, method: str, what: str, *parts: Any) -> Any:
    """Call a replica, once more where the first has died."""
    for attempt in (1, 2):
        try:
            return await getattr(handle, method).remote(*parts)
        except BackPressureError:
            raise overloaded(f"requests to the {what}") from None
        except _GONE:
            if attempt == 2:
                raise not_ready(what) from None
    raise not_ready(what)


class RemoteReader:
    """The classifier's replicas, as the app sees them."""

    def __init__(self, handle: DeploymentHandle, *, seen: Callable[[int], object]) -> None:
        self._handle = handle
        self._batcher = Batcher(
            self._fly, most=MOST_RECORDINGS, flights=FLIGHTS, weigh=lambda asked: len(asked.counts), seen=seen
        )

    async def _fly(self, many: Sequence[Asked]) -> Sequence[Answered]:
        return await _asked(self._handle, "answer", "classifier", list(many))

    async def answer(self, asked: Asked) -> Answered:
        """In one batch with whatever else has come; all from one model."""
        return await self._batcher.ask(asked)

    async def explain(self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str) -> Explained:
        """Where an answer comes from."""
        return await _asked(self._handle, "explain", "classifier", counts, query)

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return await _asked(self._handle, "facts", "classifier")


class RemoteMeasurer:
    """The delineator's replica, as the app sees it."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def measure(self, counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> list[dict[str, Any]]:
        """Intervals of each recording."""
        return await _asked(self._handle, "measure", "delineator", counts)


class RemoteWriter:
    """The generator's replicas, as the app sees them."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn]:
        """Step by step; closing the iterator cancels the replica's work."""
        events: Any = self._handle.options(stream=True).draw.remote(commission)
        done = False
        try:
            async for event in events:
                if isinstance(event, Unable):
                    done = True
                    raise ConfigError("the generator cannot draw so; leave sampler and guidance out.")
                yield event
                done = isinstance(event, Drawn)
        except BackPressureError:
            raise overloaded("ECGs to draw") from None
        except _GONE:
            raise not_ready("generator") from None
        finally:
            if not done:
                events.cancel()

    async def facts(self) -> dict[str, Any]:
        """What is told of the model."""
        return await _asked(self._handle, "facts", "generator")


class Unable:
    """The generator cannot draw with that sampler and guidance."""


@serve.ingress()
class Front:
    """The FastAPI app."""

    def __init__(
        self,
        settings: ServiceSettings,
        listen: Listen | None,
        classifier: DeploymentHandle | None,
        delineator: DeploymentHandle,
        generator: DeploymentHandle | None,
    ) -> None:
        log_requests()
        self._settings, self._listen = settings, listen
        self._listener: Listener | None = None
        self._meters = Meters()
        self._backends = Backends(
            None if classifier is None else RemoteReader(classifier, seen=self._meters.batch.observe),
            RemoteMeasurer(delineator),
            None if generator is None else RemoteWriter(generator),
        )

    def __serve_build_asgi_app__(self) -> Any:
        from ecgray.service.app import build_app
        from ecgray.service.core import Service

        self._app = build_app(Service(self._settings, self._backends, self._meters))
        return self._app

    async def reconfigure(self, _: object) -> None:
        """Called once the replica's loop runs: listen, where no proxy does."""
        if self._listen is not None and self._listener is None:
            place = self._listen
            self._listener = Listener(self._app, host=place.host, port=place.port, drain_s=place.drain_s)

    def check_health(self) -> None:
        """Raise where nobody listens any more."""
        if self._listener is not None and not self._listener.alive:
            raise RuntimeError("the HTTP server has ended")

    async def drain(self) -> None:
        """Listen no more, and answer what is under way; called before the models' replicas end."""
        if self._listener is not None:
            await self._listener.close()

    async def __del__(self) -> None:
        """Called by Serve before this replica ends, as one that is replaced."""
        await self.drain()


@dataclass(frozen=True)
class Listen:
    """Where the app listens itself, and how long it finishes what is under way."""

    host: str
    port: int
    drain_s: float


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What `build` takes: `args` in a config file of Ray Serve."""

    config: ServeConfig
    """As for jobs/serve.py."""
    token_sha256: str = ""
    """SHA-256 of the bearer token; empty on loopback alone."""


def build(args: Mapping[str, Any]) -> serve.Application:
    """The application. `args` are the fields of `Deployed` as JSON. Raises `EcgrayError` where they are not such."""
    return application(from_json(Deployed, dict(args)))


def application(deployed: Deployed) -> serve.Application:
    """The application; model folders are looked at before any replica starts."""
    config = deployed.config
    if not is_loopback(config.host) and not deployed.token_sha256:
        raise ConfigError(f"host={config.host} is open to other machines and token_sha256 is empty; set ECGRAY_TOKEN.")
    settings = ServiceSettings(
        token_sha256=deployed.token_sha256,
        hosts=(*ServiceSettings.hosts, in_url(config.host)),
        reading=config.reading,
        writing=config.writing,
        answer_s=config.answer_s,
        generate_s=config.generate_s,
    )
    folders = model_folders(config)
    classifier, generator = _classifier(config, folders), _generator(config, folders)
    delineator = _deployed(DelineatorReplica, "Delineator", config, calls=_CALLS).bind(config.threads)
    front = _deployment(
        Front,
        name="Front",
        num_replicas=config.front_replicas,
        max_ongoing_requests=1000,
        max_queued_requests=1000,
        backpressure_config=_BUSY,
        user_config={},
        graceful_shutdown_timeout_s=config.drain_s + 10,
        ray_actor_options={"num_cpus": config.cpus},
        logging_config=QUIET,
        **_HEALTH,
    )
    listen = Listen(config.host, config.port, config.drain_s) if config.front == "direct" else None
    return front.bind(settings, listen, classifier, delineator, generator)


def model_folders(config: ServeConfig) -> dict[str, Path]:
    """The folder of each model that is served. Raises `ArtifactError` where there is none."""
    given = {"classifier": config.classifier or CLASSIFIER, "generator": config.generator or GENERATOR}
    found: dict[str, Path] = {}
    for name in config.models:
        folder = given[name].absolute()
        folder = folder / "model" if (folder / "model").is_dir() else folder
        if not (folder / SUMS).is_file():
            raise ArtifactError(
                f"{folder} holds no {SUMS}; give OUT of a training job as --{name}, or its model folder."
            )
        found[name] = folder
    return found


def _classifier(config: ServeConfig, folders: Mapping[str, Path]) -> Any:
    if "classifier" not in folders:
        return None
    deployment = _deployed(
        ClassifierReplica,
        "Classifier",
        config,
        calls=2 * FLIGHTS,
        gpu=config.classifier_gpu,
        replicas=(config.classifier_replicas, config.classifier_most),
    )
    return deployment.bind(folders["classifier"], config.classifier_gpu > 0, config.threads, config.watch_s)


def _generator(config: ServeConfig, folders: Mapping[str, Path]) -> Any:
    if "generator" not in folders:
        return None
    deployment = _deployed(
        GeneratorReplica,
        "Generator",
        config,
        calls=config.writing,
        gpu=config.generator_gpu,
        replicas=(config.generator_replicas, config.generator_most),
    )
    return deployment.bind(
        folders["generator"],
        config.generator_gpu > 0,
        config.threads,
        config.watch_s,
        config.drawn_together,
        config.bf16,
    )


_deployment: Any = serve.deployment  # its types do not say that it takes a class, too


def _deployed(
    kind: type,
    name: str,
    config: ServeConfig,
    *,
    calls: int,
    gpu: float = 0.0,
    replicas: tuple[int, int] = (1, 1),
) -> Any:
    """A deployment whose replicas hold one model each."""
    least, most = replicas
    number: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scaling = AutoscalingConfig(min_replicas=least, max_replicas=most, target_ongoing_requests=max(1.0, calls / 4))
        number = {"autoscaling_config": scaling}
    return _deployment(
        kind,
        name=name,
        max_ongoing_requests=calls,
        max_queued_requests=max(64, 4 * calls),
        graceful_shutdown_timeout_s=config.drain_s,
        ray_actor_options={"num_cpus": config.cpus, "num_gpus": gpu},
        **number,
        logging_config=QUIET,
        **_HEALTH,
    )
