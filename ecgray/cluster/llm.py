"""Distinct texts through a language model on Ray Data: actors that hold the engine, a row of the dataset a part.

The actors write the answers into the cache themselves, part by part; what comes back to the driver is counts.
"""

from __future__ import annotations

import contextlib
import faulthandler
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray.data
import ray.exceptions
from tqdm import tqdm

from ecgray.cluster.asking import Asking, Spent, answer_part
from ecgray.cluster.cache import part_name
from ecgray.cluster.connect import connected
from ecgray.cluster.engine import Engine, EngineSettings, make_engine
from ecgray.cluster.preflight import check_room
from ecgray.errors import ClusterError, EcgrayError

_STARTS = "starts"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The actors: how many, how large, and with which engine."""

    engine: str
    settings: EngineSettings
    replicas: int
    cpus: float
    part_rows: int
    start_timeout_s: float


@dataclass
class Asked:
    """What asking took, over all parts."""

    texts: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    start_s: float = 0.0
    """Until the first engine stood, Ray's own start included."""
    ask_s: float = 0.0
    """After that."""
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def rows_per_s(self) -> float:
        """Texts a second from when the first engine stood."""
        return self.texts / self.ask_s if self.ask_s else 0.0


def ask_all(texts: Sequence[str], asking: Asking, pool: Pool) -> Asked:
    """Have every text asked once; the answers, and what failed, are in the cache afterwards. None: no Ray is started.

    Raises `ClusterError` where the cluster has no room, or the engine does not start or keeps dying.
    """
    asked = Asked()
    if not texts:
        return asked
    parts = [list(texts[start : start + pool.part_rows]) for start in range(0, len(texts), pool.part_rows)]
    named = [(part_name(asking.cache, part, asking.prompt.hash, asking.model_hash), part) for part in parts]
    asking.diaries.mkdir(parents=True, exist_ok=True)
    (asking.diaries / _STARTS).unlink(missing_ok=True)
    began = time.time()
    with connected(), tqdm(total=len(texts), unit="text", desc=asking.prompt.purpose, smoothing=0.1) as bar:
        up = 0.0
        for row in _rows(named, asking, pool):
            if row["failed"]:
                raise ClusterError(row["failed"])
            up = up or row["up_at"]
            asked.texts += row["texts"]
            asked.calls += row["calls"]
            asked.tokens_in += row["tokens_in"]
            asked.tokens_out += row["tokens_out"]
            asked.failed.update(row["codes"].split())
            bar.set_postfix(refused=asked.failed.total(), refresh=False)
            bar.update(row["texts"])
        asked.start_s, asked.ask_s = up - began, time.time() - up
    shutil.rmtree(asking.diaries, ignore_errors=True)
    return asked


def _rows(parts: Sequence[tuple[str, list[str]]], asking: Asking, pool: Pool) -> Iterator[dict[str, Any]]:
    """The counts of each part as it is committed, in no order."""
    workers = min(pool.replicas, len(parts))
    gpus = pool.settings.tensor_parallel if pool.settings.gpu else 0
    check_room(workers=workers, cpus=pool.cpus, gpus=gpus, spare_cpus=0, purpose="language model")
    rows = [{"part": name, "texts": texts} for name, texts in parts]
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Asker,
        fn_constructor_args=(asking, pool),
        batch_size=None,
        # few in flight, so that one actor does not sit on parts while another has none
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=pool.cpus,
        num_gpus=float(gpus),
    )
    try:
        yield from data.iter_rows()
    except ray.exceptions.RayActorError as error:
        raise ClusterError(
            f"the process of the engine {pool.engine} ended while it started with {pool.settings.model}; it takes more "
            "memory than there is, or its libraries do not fit this machine."
        ) from error


class Asker:
    """One actor: starts an engine once and answers part after part."""

    def __init__(self, asking: Asking, pool: Pool) -> None:
        self._asking = asking
        self._engine: Engine | None = None
        self._failed = ""
        try:
            with _start(asking.diaries / _STARTS, pool):
                self._engine = make_engine(pool.engine, pool.settings)
        except EcgrayError as error:  # said by the first answer: Ray would try an actor that raises here for ever
            self._failed = str(error)
        self._up_at = time.time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Answer the parts of a block (one as a rule)."""
        done = [
            self._answer(str(part), [str(text) for text in texts])
            for part, texts in zip(batch["part"], batch["texts"], strict=True)
        ]
        return {name: [one[name] for one in done] for name in done[0]}

    def _answer(self, part: str, texts: list[str]) -> dict[str, Any]:
        spent, failed = Spent(), self._failed
        if self._engine is not None:
            try:
                spent = answer_part(part, texts, self._engine, self._asking)
            except EcgrayError as error:
                failed = str(error)
        counts = asdict(spent)
        codes = " ".join(spent.failed.elements())
        return {name: counts[name] for name in ("texts", "calls", "tokens_in", "tokens_out")} | {
            "codes": codes,
            "up_at": self._up_at,
            "failed": failed,
        }


@contextlib.contextmanager
def _start(starts: Path, pool: Pool) -> Iterator[None]:
    """Count the engines that begin to start and those that stand: Ray starts a process anew that died, without end.

    Raises `ClusterError` where more died on the way than chance explains.
    """
    with starts.open("a") as file:
        file.write("+")
    tries = starts.read_text().rpartition("=")[2]
    if len(tries) > 2 + 2 * pool.replicas:
        raise ClusterError(
            f"the process of the engine {pool.engine} ended {len(tries) - 1} times while it started with "
            f"{pool.settings.model}; it takes more memory than there is or longer than --start-timeout-s "
            f"({pool.start_timeout_s:g}), or its libraries do not fit this machine."
        )
    faulthandler.dump_traceback_later(pool.start_timeout_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
    with starts.open("a") as file:
        file.write("=")
