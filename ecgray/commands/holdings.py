"""What ecgray works with: models, the Hugging Face cache, archives, a Ray, a service, telemetry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import ecgray
from ecgray.commands.findings import Finding, fix, good, look

ASK_S = 2.0
_SWITCHES = {"RAY_USAGE_STATS_ENABLED": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def shipped_models() -> list[Finding]:
    """The models that come with the package, file by file."""
    package = Path(ecgray.__file__).parent
    folders = sorted(path.parent for path in package.rglob("embedded/SHA256SUMS"))
    if not folders:
        return [fix("models", "none ships with this copy", "install ecgray again")]
    named = [str(folder.parent.relative_to(package)) for folder in folders]
    wrong = [
        fault for folder, name in zip(folders, named, strict=True) for fault in _sums(folder, f"the one of {name}")
    ]
    return wrong or [good("models", f"{len(folders)} ship, checksums right: {', '.join(named)}")]


def own_models(folders: Sequence[Path]) -> list[Finding]:
    """Model folders that the user names."""
    found = []
    for given in folders:
        folder = given / "model" if (given / "model").is_dir() else given
        if not (folder / "SHA256SUMS").is_file():
            found.append(
                fix("model", f"{folder} holds no SHA256SUMS", "give the model folder that a job wrote, or its OUT")
            )
        else:
            found += _sums(folder, str(folder)) or [good("model", f"{folder}: checksums right")]
    return found


def _sums(folder: Path, name: str) -> list[Finding]:
    from ecgray.artifact import check_sums
    from ecgray.errors import ArtifactError

    try:
        check_sums(folder)
    except ArtifactError:
        return [
            fix("models", f"{name} is damaged: a file is missing or was changed", "copy the folder, or install, again")
        ]
    return []


def hugging_face() -> list[Finding]:
    """Models by public name come from this cache."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    try:
        models = [path.name.removeprefix("models--").replace("--", "/") for path in hub.glob("models--*")]
    except OSError:
        models = []
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    says = f"{len(models)} models in the cache, {'offline' if offline else 'the network may be asked'}"
    return [good("hugging face", f"{says}; the models that ship need none")]


def archives(folders: Sequence[Path]) -> list[Finding]:
    """How the archives that the user names are laid out."""
    from ecgray.archives import detect
    from ecgray.errors import EcgrayError

    found = []
    for folder in folders:
        if not folder.is_dir():
            found.append(fix("archive", f"{folder} is no folder", "give the folder that holds the archive"))
            continue
        try:
            found.append(good("archive", f"{folder}: laid out as {detect(folder)}"))
        except EcgrayError as error:
            found.append(fix("archive", str(error), "docs/archives.md says what each archive looks like"))
    return found


def telemetry() -> list[Finding]:
    """Nothing is told to anybody unless the environment wants it."""
    told = [name for name, off in _SWITCHES.items() if os.environ.get(name, off) != off]
    if told:
        return [
            look("telemetry", f"switched on by {', '.join(told)}", f"unset {' '.join(told)}: ecgray switches it off")
        ]
    return [good("telemetry", "off (Ray, vLLM, Hugging Face)")]


def joined_ray() -> list[Finding]:
    """The cluster that RAY_ADDRESS names, or none."""
    from ecgray.cluster.inspect import DASHBOARD_PORT, answers, asks_for_token, place_of

    address = os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local"):
        says = "RAY_ADDRESS is not set: a job starts a Ray of its own here, closed to others"
        if os.environ.get("RAY_AUTH_MODE", "token") != "token":
            return [
                look("ray", "RAY_AUTH_MODE keeps a Ray of our own open to whoever reaches it", "unset RAY_AUTH_MODE")
            ]
        return [good("ray", says)]
    place = place_of(address)
    if place is None:
        return [look("ray", "RAY_ADDRESS names no host and port", "name the head, as 10.0.0.1:6379")]
    if not answers(place, timeout_s=ASK_S):
        return [
            fix(
                "ray",
                f"nobody answers at RAY_ADDRESS ({place[0]}:{place[1]})",
                "start a Ray there, or unset RAY_ADDRESS",
            )
        ]
    found = [good("ray", f"RAY_ADDRESS ({place[0]}:{place[1]}) answers")]
    dashboard = f"{place[0]}:{DASHBOARD_PORT}"
    if not place[0].startswith(_LOOPBACK) and asks_for_token(dashboard, timeout_s=ASK_S) is False:
        found.append(_open(dashboard))
    return found


def other_rays() -> list[Finding]:
    """Rays that run on this machine."""
    from ecgray.cluster.inspect import asks_for_token, local_rays, user_of

    found, mine = [], os.environ.get("RAY_ADDRESS", "")
    for ray in local_rays():
        outside = ray.dashboard and not ray.dashboard.startswith(_LOOPBACK)
        if outside and asks_for_token(ray.dashboard, timeout_s=ASK_S) is False:
            found.append(_open(ray.dashboard))
        if ray.address != mine:
            says = f"another Ray runs here: {ray.address}, process {ray.pid}, {user_of(ray.uid)}"
            found.append(look("ray", says, "nothing: it is never joined unless RAY_ADDRESS names it"))
    return found


def _open(dashboard: str) -> Finding:
    says = f"the dashboard at {dashboard} asks for no token: whoever reaches it runs any code there"
    return fix(
        "ray", says, "ray start --dashboard-host=127.0.0.1, or RAY_AUTH_MODE=token (ray get-auth-token --generate)"
    )


def serve_config(path: Path) -> list[Finding]:
    """A config of `serve deploy`, checked without a cluster."""
    from ecgray.cluster.deploy_file import check_deploy_file
    from ecgray.errors import ConfigError

    try:
        return [good("serve config", f"{path} holds, {check_deploy_file(path)} applications")]
    except ConfigError as error:
        return [
            fix("serve config", str(error), "correct it, or write one with python jobs/serve.py paper --write FILE")
        ]


def service(server: str) -> list[Finding]:
    """Whether a service answers, and with which models."""
    from ecgray.client import Client
    from ecgray.errors import EcgrayError

    try:
        with Client(server, timeout_s=ASK_S, retries=0) as client:
            version = client.version().get("ecgray", "")
            ready = client.ready()
            models = ", ".join(f"{model.name} {model.version} ({model.sha256[:12]})" for model in client.models())
    except EcgrayError as error:
        refused = getattr(error, "status", 0) == 401
        remedy = "give the token as ECGRAY_TOKEN" if refused else "start it with make serve, or name another"
        return [fix("service", str(error), remedy)]
    if not ready:
        return [look("service", f"ecgray {version} at {server} is not ready", "wait until its models are loaded")]
    return [good("service", f"ecgray {version} at {server} is ready: {models}")]
