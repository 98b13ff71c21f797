"""Whether the cluster can hold a run, said before it begins: a run that does not fit would wait for ever."""

from __future__ import annotations

import ray
from ray._private.state import state as cluster_state

from ecgray.errors import ClusterError


def check_room(*, workers: int, cpus: float, gpus: int, spare_cpus: float, purpose: str = "training") -> None:
    """Raise `ClusterError` unless `workers` of so many CPUs and GPUs each fit, with `spare_cpus` left over.

    What an autoscaler may still start counts as there.
    """
    has, largest = _room()
    needs = {"CPU": workers * cpus + spare_cpus, "GPU": float(workers * gpus)}
    short = [kind for kind, need in needs.items() if has.get(kind, 0) < need]
    if short:
        raise ClusterError(
            f"{workers} {purpose} workers of {cpus:g} CPUs and {gpus} GPUs each, with {spare_cpus:g} CPUs left for Ray "
            f"Data, need {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs; the cluster has {has.get('CPU', 0):g} and "
            f"{has.get('GPU', 0):g}. Ask for less, or start more nodes."
        )
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in largest):
        raise ClusterError(
            f"a {purpose} worker needs {cpus:g} CPUs and {gpus} GPUs on one node, and no node has them; "
            "ask for less, or start a larger node."
        )


def workers_at_once(*, workers: int, cpus: float, gpus: int, spare_cpus: float) -> int:
    """How many runs of so many workers the cluster holds side by side with `spare_cpus` left over."""
    has, _ = _room()
    runs = int((has.get("CPU", 0) - spare_cpus + 1e-9) // (workers * cpus))
    return min(runs, int(has.get("GPU", 0) // (workers * gpus))) if gpus else runs


def _room() -> tuple[dict[str, float], list[dict[str, float]]]:
    """What the whole cluster has, and what each of its nodes has."""
    nodes = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    total = {kind: sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    limit = cluster_state.get_max_resources_from_cluster_config()  # None where no autoscaler runs
    if not limit:
        return total, nodes
    most = {kind: max(total[kind], float(limit.get(kind, 0))) for kind in total}
    return most, [*nodes, most]
