"""Put the service on Ray Serve, keep it there, follow model folders that are replaced, end in good order."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ecgray.artifact import SUMS, load_model
from ecgray.errors import ClusterError, ConfigError, EcgrayError
from ecgray.recipes.serve import ServeConfig
from ecgray.service.settings import token_hash

NAME = "ecgray"
UPDATE_S = 120.0
"""How long replicas may take to load a model folder that was replaced."""
_OFF = {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Nothing is told to anybody, and nothing fetched."""


def serve(config: ServeConfig, *, announce: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Serve until told to end; figures of the whole. With `check` or `write`, only that.

    `announce` is called when all models answer.
    """
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

    for folder in model_folders(config).values():
        load_model(folder)  # a damaged one is told now, in one sentence
    with _told_to_end() as ended, connected(num_cpus=_cpus(config)):
        _start(config, Deployed(config=config, token_sha256=token))
        url = f"http://{config.host}:{config.port}"
        ready_s = round(time.monotonic() - began, 1)
        announce({"ready": url, "ready_s": ready_s, "models": list(config.models)})
        print(f"serve: open {url}/ in a browser; Ctrl-C ends it", file=sys.stderr)
        updates = _until_ended(config, ended)
        print("serve: ending, after what is under way", file=sys.stderr)
        _stop()
    return {
        "served_s": round(time.monotonic() - began - ready_s, 1),
        "ready_s": ready_s,
        "updates": updates,
        "url": url,
    }


def _check_port(config: ServeConfig) -> None:
    """Say at once that a port is taken: Serve would try a hundred times."""
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
        os.environ.update(_direct(config.port))


def _direct(port: int) -> dict[str, str]:
    """Serve's switches for replicas that listen themselves: no proxy between, and arguments by gRPC.

    A request through the proxy costs 8 ms of two cores, and one to the replica itself half a millisecond.
    """
    return {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(port + 1),  # and not that one
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",  # a line that stays in a buffer helps nobody
    }


def _cpus(config: ServeConfig) -> int:
    """CPUs that our own Ray counts: enough for all replicas, who share the machine's cores anyway."""
    replicas = config.front_replicas + 1
    replicas += sum(getattr(config, f"{name}_most") for name in config.models)
    return max(os.cpu_count() or 1, int(replicas * config.cpus) + 1)


def _start(config: ServeConfig, deployed: Any) -> None:
    from ray import serve as ray_serve

    port = config.port if config.front == "proxy" else _free_port()
    logging = {"enable_access_log": False, "log_level": "ERROR"}
    ray_serve.start(
        http_options={"host": config.host if config.front == "proxy" else "127.0.0.1", "port": port},
        logging_config=logging,
    )
    _run(deployed)


def _run(deployed: Any) -> None:
    from ray import serve as ray_serve

    from ecgray.cluster.serving import application

    with contextlib.redirect_stdout(sys.stderr):
        ray_serve.run(application(deployed), name=NAME, route_prefix="/")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _stop() -> None:
    from ray import serve as ray_serve

    ray_serve.shutdown()


@contextlib.contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets."""
    ended = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: ended.set())
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _until_ended(config: ServeConfig, ended: threading.Event) -> int:
    """Wait; take model folders that were replaced. The number of times that happened."""
    end = time.monotonic() + config.for_s if config.for_s else float("inf")
    seen, updates = _sums(config), 0
    while not ended.wait(min(config.watch_s or 60.0, max(0.0, end - time.monotonic()))):
        if time.monotonic() >= end:
            break
        if not config.watch_s or (now := _sums(config)) == seen or None in now.values():
            continue
        updates += sum(_update(name) for name, sums in now.items() if sums != seen.get(name))
        seen = now
    return updates


def _update(name: str) -> int:
    """Have every replica of a model take what its folder holds now, where it is whole; whether they did.

    Serve's own update would start all replicas anew, and the app among them.
    """
    from ray import serve as ray_serve

    handle = ray_serve.get_deployment_handle(name.capitalize(), NAME)
    try:
        handle.broadcast("reload").results(timeout_s=UPDATE_S)
    except Exception as error:
        reason = error if isinstance(error, EcgrayError) else type(error).__name__
        print(f"serve: the {name} before stays: {reason}", file=sys.stderr)
        return 0
    print(f"serve: the {name}'s folder was replaced, and its model answers now", file=sys.stderr)
    return 1


def _sums(config: ServeConfig) -> dict[str, bytes | None]:
    """The checksums in each model's folder; None while it is being replaced."""
    from ecgray.cluster.serving import model_folders

    try:
        return {name: (folder / SUMS).read_bytes() for name, folder in model_folders(config).items()}
    except (OSError, EcgrayError):
        return dict.fromkeys(config.models)
