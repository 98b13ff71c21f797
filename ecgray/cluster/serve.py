"""Put the service on Ray Serve, keep it there, follow model folders that are replaced, end in good order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ecgray.artifact import load_model
from ecgray.errors import ArtifactError, ClusterError, ConfigError
from ecgray.recipes.serve import ServeConfig
from ecgray.service.settings import in_url, token_hash
from ecgray.service.watching import Watch

NAME = "ecgray"
_KNOWN_S = 10.0
"""Seconds in which a new handle must have heard of the replicas."""
_OFF = {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Nothing is told to anybody, and nothing fetched."""


def serve(config: ServeConfig, *, announce: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Serve until told to end; figures of the whole. With `check` or `write`, only that.

    `announce` is called when all models answer.
    """
    if config.check is not None and config.write is not None:
        raise ConfigError("--check reads a file and --write makes one; give one of the two.")
    if config.check is not None:
        from ecgray.cluster.deploy_file import check_deploy_file

        return {"checked": str(config.check), "applications": check_deploy_file(config.check)}
    token = token_hash(os.environ.get("ECGRAY_TOKEN", ""), host=config.host)
    if config.write is not None:
        from ecgray.cluster.deploy_file import write_deploy_file

        write_deploy_file(config.write, config, token)
        return {"written": str(config.write)}
    return _serve(config, token, announce)


def _serve(config: ServeConfig, token: str, announce: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    began = time.monotonic()
    _check_port(config)
    _prepare(config)  # before anything of Ray Serve is imported: it reads the environment then
    from ecgray.cluster.connect import connected
    from ecgray.cluster.serving import Deployed, model_folders

    for name, folder in model_folders(config).items():
        _check_model(name, folder)
    quiet = contextlib.redirect_stdout(sys.stderr)  # Ray tells of what has died on stdout, which is for our two lines
    with quiet, connected(num_cpus=_cpus(config)), _told_to_end() as ended:  # Ray sets a handler of its own
        _start(config, Deployed(config=config, token_sha256=token))
        url = f"http://{in_url(config.host)}:{config.port}"
        ready_s = round(time.monotonic() - began, 1)
        announce({"ready": url, "ready_s": ready_s, "models": list(config.models)})
        print(f"serve: open {url}/ in a browser; Ctrl-C ends it", file=sys.stderr)
        watches = _watched(config)
        ended.wait(config.for_s or None)
        print("serve: ending, after what is under way; once more ends it at once", file=sys.stderr)
        for watch in watches:
            watch.close()
        try:
            _stop_while_ray_lives(config)
        except KeyboardInterrupt:
            _give_up()
            raise ClusterError("told twice to end: what was under way is lost.") from None
    return {
        "served_s": round(time.monotonic() - began - ready_s, 1),
        "ready_s": ready_s,
        "url": url,
    }


def _check_model(name: str, folder: Path) -> str:
    """Tell now, in one sentence, of a folder that is damaged or holds another kind of model; else its fingerprint."""
    from ecgray.models import classifier, generator

    kind = {"classifier": classifier.KIND, "generator": generator.KIND}[name]
    stored = load_model(folder)
    found = stored.config.get("kind")
    if found != kind:
        raise ArtifactError(f"{folder} holds a {found!r}; --{name} needs a {kind!r}.")
    return stored.fingerprint


def _check_gpus(config: ServeConfig) -> None:
    """Ray would wait for ever for a GPU that this machine has not."""
    import torch

    wanted, there = max(config.classifier_gpu, config.generator_gpu), torch.cuda.device_count()
    if wanted > there:
        raise ClusterError(f"a replica wants {wanted:g} of a GPU and this machine has {there}; use 0 to serve on CPUs.")


def _check_port(config: ServeConfig) -> None:
    """Say at once that a port is taken: a replica would be started again and again."""
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind((config.host, config.port))
        except OSError as error:
            raise ClusterError(
                f"port {config.port} on {config.host} cannot be listened on ({error.strerror}); end what listens "
                "there, or give another --port."
            ) from None


def _prepare(config: ServeConfig) -> None:
    os.environ.update({name: os.environ.get(name, value) for name, value in _OFF.items()})
    if config.front == "direct":
        if os.environ.get("RAY_ADDRESS"):
            raise ConfigError(
                "front=direct starts a Ray of its own on this machine, and RAY_ADDRESS names a cluster; use "
                "front=proxy there, or unset RAY_ADDRESS."
            )
        _check_gpus(config)
        import ray.serve  # noqa: F401 - with the switches as they are: this process has no event loop for its handles

        os.environ.update(_QUICK)


_QUICK = {
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
"""Serve's switches for calls between replicas that cost a third: by gRPC, in one event loop."""


def _cpus(config: ServeConfig) -> int:
    """CPUs that our own Ray counts: enough for all replicas, who share the machine's cores anyway."""
    replicas = config.front_replicas + 1
    replicas += sum(getattr(config, f"{name}_most") for name in config.models)
    return max(os.cpu_count() or 1, int(replicas * config.cpus) + 1)


def _start(config: ServeConfig, deployed: Any) -> None:
    from ray import serve as ray_serve

    from ecgray.cluster.serving import QUIET

    if config.front == "proxy":
        ray_serve.start(http_options={"host": config.host, "port": config.port}, logging_config=QUIET)
    else:
        ray_serve.start(proxy_location="Disabled", logging_config=QUIET)
    _run(deployed)


def _run(deployed: Any) -> None:
    from ray import serve as ray_serve

    from ecgray.cluster.serving import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it would name the port of a proxy that is not there
    ray_serve.run(application(deployed), name=NAME, route_prefix="/")


def _watched(config: ServeConfig) -> list[Watch]:
    """Say here, too, what the replicas say in their logs of a model folder that has changed."""
    from ecgray.cluster.serving import model_folders

    def tell(name: str, folder: Path) -> Callable[[], object]:
        return lambda: print(f"serve: {name} {_check_model(name, folder)} from now on", file=sys.stderr)

    folders = model_folders(config) if config.watch_s else {}
    return [Watch(folder, tell(name, folder), every_s=config.watch_s) for name, folder in folders.items()]


def _stop_while_ray_lives(config: ServeConfig) -> None:
    """End well, or at once where our own Ray's head has died: whoever signals a whole process group ends it first."""
    if os.environ.get("RAY_ADDRESS"):
        return _stop(config)
    import ray

    head, faults = ray.get_runtime_context().gcs_address, list[Exception]()

    def stop() -> None:
        try:
            _stop(config)
        except Exception as error:
            faults.append(error)

    stopping = threading.Thread(target=stop, name="stop", daemon=True)
    stopping.start()
    while stopping.is_alive() and _answers(head):
        stopping.join(0.5)
    if stopping.is_alive() or (faults and not _answers(head)):
        raise ClusterError("Ray was told to end, too, and what was under way is lost; signal this process alone.")
    if faults:
        raise faults[0]
    return None


def _give_up() -> None:
    """Of a cluster that goes on without us nothing may go on serving; our own Ray ends with this process."""
    if os.environ.get("RAY_ADDRESS"):
        from ray import serve as ray_serve

        ray_serve.delete(NAME, _blocking=False)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _stop(config: ServeConfig) -> None:
    """The app first, while its models still answer: Serve ends all deployments at once."""
    from ray import serve as ray_serve

    _drain(config)
    ray_serve.delete(NAME)
    ray_serve.shutdown()


def _drain(config: ServeConfig) -> None:
    """Have every replica of the app finish what is under way. A handle that is new may not know them for a moment."""
    from ray import serve as ray_serve
    from ray.serve.exceptions import DeploymentUnavailableError

    patience = time.monotonic() + _KNOWN_S
    front = ray_serve.get_deployment_handle("Front", NAME)
    while time.monotonic() < patience:
        try:
            front.broadcast("drain").results(timeout_s=config.drain_s + 10)
            return
        except DeploymentUnavailableError:
            time.sleep(0.1)
        except Exception as error:  # as where a front is just being replaced
            print(f"serve: the app did not finish what was under way ({type(error).__name__})", file=sys.stderr)
            return
    print("serve: no replica of the app was found, to finish what was under way", file=sys.stderr)


@contextlib.contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one waits no more."""
    ended = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def told(*_: object) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        ended.set()

    for number in before:
        signal.signal(number, told)
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
