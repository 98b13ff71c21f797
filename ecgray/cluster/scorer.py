"""Training of the ECG-text scorer on Ray Train, and how well it finds the texts of patients that it never saw."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import distributed

from ecgray.alignment.folder import LoadedScorer, save_scorer, scorer_card
from ecgray.alignment.model import Scorer
from ecgray.alignment.step import Batch, Embedded, train_step
from ecgray.cluster.connect import connected
from ecgray.cluster.driver import drive
from ecgray.cluster.record_texts import RecordTexts, with_text
from ecgray.cluster.stepping import Stepping
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers, run_once
from ecgray.errors import ConfigError
from ecgray.metrics.bootstrap import Estimate, PatientBootstrap
from ecgray.metrics.retrieval import chance_of, retrieval_ranks
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.parquet import table_folder
from ecgray.settings import to_json
from ecgray.supreme.preprocess import preprocess
from ecgray.supreme.step import make_optimizer, make_schedule
from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal
from ecgray.training.order import Order
from ecgray.training.shards import ordered_batches, training_shares

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.recipes.train_scorer import TrainScorerConfig

VECTORS = Path("train") / "texts.npy"
"""The frozen encoder's vector of every distinct text, in their order."""


@dataclass(frozen=True)
class ScorerPlan:
    """What the driver settled before the workers start; paths are absolute."""

    config: TrainScorerConfig
    records: Path
    labels: Path | None
    out: Path

    def texts(self) -> RecordTexts:
        """Which text each record has."""
        return RecordTexts.read(self.records, self.labels)


def train_scorer(config: TrainScorerConfig) -> dict[str, Any]:
    """Train, export OUT/model, let held-out patients find their texts; returns the figures.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    records = table_folder(config.records, "records").absolute()
    labels = table_folder(config.labels, "labels").absolute() if config.labels else None
    encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
    plan = ScorerPlan(config.settled(text_width=encoder.width), records, labels, config.out.absolute())
    _refuse_unlearnable(plan)
    inputs: dict[str, Path | str] = {"records": records}
    if labels is not None:
        inputs["labels"] = labels
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            run_once(write_vectors, plan, cpus=size.cpus, gpus=int(size.gpu))
            drive(
                scorer_loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name="train_scorer",
                purpose="scorer",
                learning_rate=("--optimizer.learning-rate", config.optimizer.learning_rate),
            )
            return folder.finish(run_once(export, plan, cpus=size.cpus, gpus=int(size.gpu)))


def _refuse_unlearnable(plan: ScorerPlan) -> None:
    texts = plan.texts()
    counts = {split: len(with_text(plan.records, texts, split=split)[0]) for split in ("train", "val", "test")}
    if counts["train"] < 2 or counts["val"] + counts["test"] < 2 or len(texts.distinct()) < 2:
        source = "terms" if plan.labels else "a report"
        raise ConfigError(
            f"{plan.records} has {counts['train']} training and {counts['val'] + counts['test']} held-out records with "
            f"{source}, and {len(texts.distinct())} different texts; a scorer needs two or more of each: ingest an "
            "archive with reports, or give --labels."
        )


def write_vectors(plan: ScorerPlan) -> dict[str, Any]:
    """Encode every distinct text once, into OUT/train/texts.npy; nothing where an earlier run has."""
    path = plan.out / VECTORS
    texts = plan.texts().distinct().to_pylist()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, _encoder(plan).encode(texts).astype(np.float32))
        write_bytes(path, buffer.getvalue())
    return {"texts": len(texts)}


def _encoder(plan: ScorerPlan) -> TextEncoder:
    config = plan.config
    device = "cuda" if config.gpu else "cpu"
    return load_text_encoder(config.text_encoder, pooler=config.text_pooler, device=device)


def scorer_loop(settings: dict[str, ScorerPlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    with contextlib.closing(_Run(settings["plan"])) as run:
        return run.train()


class _Run(Stepping):
    """One worker's state between two steps."""

    def __init__(self, plan: ScorerPlan) -> None:
        self.config = config = plan.config
        ranks = Ranks(gpu=config.gpu, cpus=config.cpus_per_worker)
        super().__init__(ranks, out=plan.out, steps=config.steps, checkpoint_every=config.checkpoint_every)
        torch.manual_seed(config.seed)
        self.model = Scorer(config.model).to(ranks.device)
        self.optimizer = make_optimizer(self.model, config.optimizer)
        self.restore()
        self.schedule = make_schedule(self.optimizer, config.optimizer)
        for _ in range(self.step):
            self.schedule.step()
        self.wrapped = ranks.wrap(self.model)
        texts = plan.texts()
        selection, own = with_text(plan.records, texts, split="train")
        self.number = pc.index_in(own, value_set=texts.distinct()).to_numpy().astype(np.int64)
        self.vectors = np.load(plan.out / VECTORS, mmap_mode="r", allow_pickle=False)
        self.order = Order(
            selection.group, batch_size=config.batch_size, seed=config.seed, window_groups=config.window_groups
        )
        self.shares = training_shares(
            selection,
            self.order,
            steps=range(self.step, config.steps),
            rank=ranks.rank,
            world=ranks.world,
            memory_bytes=config.memory_mb * 1e6,
        )

    def learn(self) -> dict[str, float]:
        """One step: this worker embeds its share, and compares everybody's."""
        share, device = next(self.shares), self.ranks.device
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) * 1009 + self.ranks.rank)
        number = self.number[share.rows]
        batch = Batch(
            preprocess(torch.tensor(share.ecg).to(device), self.config.model.preprocess),
            torch.from_numpy(self.vectors[number]).to(device),
            torch.from_numpy(number).to(device),
        )
        world = self.ranks.world
        sizes = [len(part) for part in np.array_split(np.arange(share.records), world)]
        return train_step(
            self.wrapped,
            batch,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=self.config.optimizer.clip_norm,
            gather=(lambda pairs: gather(pairs, sizes, rank=self.ranks.rank)) if world > 1 else None,
            world=world,
            bf16=self.config.bf16,
        )

    def close(self) -> None:
        """End the thread that reads ahead."""
        self.shares.close()

    def sets(self) -> dict[str, dict[str, Tensor]]:
        """The network's weights."""
        return {"scorer": self.model.state_dict()}

    def load_sets(self, sets: dict[str, dict[str, Tensor]]) -> None:
        """Take them up again."""
        self.model.load_state_dict(sets["scorer"])


def gather(mine: Embedded, sizes: list[int], *, rank: int) -> Embedded:
    """Everybody's pairs, rank after rank; gradients flow through one's own, through the scale by a share.

    `sizes` are the pairs of each rank; a rank of none embedded one all the same, whose gradient is 0.
    """
    world = len(sizes)
    found = [_gathered(each, sizes, rank) for each in (mine.ecg, mine.text, mine.number)]
    scale = mine.scale.detach() + (mine.scale - mine.scale.detach()) / world
    return Embedded(found[0], found[1], found[2], scale)


def _gathered(mine: Tensor, sizes: list[int], rank: int) -> Tensor:
    padded = mine.detach().new_zeros(max(sizes), *mine.shape[1:])
    padded[: sizes[rank]] = mine.detach()[: sizes[rank]]
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    parts[rank] = mine
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def export(plan: ScorerPlan) -> dict[str, Any]:
    """Write the model folder, score it on held-out patients; returns the run's figures."""
    last, config = newest_checkpoint(plan.out / CHECKPOINTS), plan.config
    assert last is not None
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))
    model = Scorer(config.model)
    model.load_state_dict(last.tensors["scorer"])
    encoder = _encoder(plan)
    scorer = LoadedScorer(model.to("cuda" if config.gpu else "cpu").eval(), encoder, "", {})
    found = score_retrieval(scorer, plan)
    write_json(plan.out / "results.json", found)
    rows, texts = read_journal(plan.out), plan.texts()
    train = len(with_text(plan.records, texts, split="train")[0])
    figures = {
        "steps": last.step,
        "records": train,
        "texts": len(texts.distinct()),
        "loss": sum(row["loss"] for row in rows[-20:]) / len(rows[-20:]),
        "held_out": found["records"],
        **{name: found[name]["value"] for name in found["scores"]},
        **{f"{name}_chance": value for name, value in found["chance"].items()},
    }
    settings = {name: each for name, each in to_json(config).items() if name not in {"records", "labels", "out"}}
    training = {"steps": last.step, "records a step": config.batch_size, "seed": config.seed}
    source = "the terms of its labels" if plan.labels else "its report"
    said = f"{train:,} ECGs of split train, each with {source}; split by patient."
    save_scorer(
        plan.out / "model",
        model,
        encoder,
        card=scorer_card(
            config.model,
            text_encoder=encoder.name,
            records=said,
            training=training,
            figures={name: value for name, value in figures.items() if name not in {"steps", "records"}},
        ),
        details={"figures": figures, "settings": settings, "trained_on": input_hash(plan.records)}
        | {"text": "terms" if plan.labels else "report"},
    )
    return figures | {"encoder": config.model.encoder, "text_encoder": encoder.name, "model": str(plan.out / "model")}


def score_retrieval(scorer: LoadedScorer, plan: ScorerPlan) -> dict[str, Any]:
    """How often a held-out ECG finds its text among those of all held-out ECGs drawn, and a text its ECG."""
    config, texts = plan.config, plan.texts()
    parts = [with_text(plan.records, texts, split=split) for split in ("val", "test")]
    chosen = np.sort(
        np.random.default_rng(config.seed).permutation(sum(len(one) for one, _ in parts))[: config.score_records]
    )
    before, ecg, said, patients = 0, [], [], []
    for selection, own in parts:
        rows = chosen[(chosen >= before) & (chosen < before + len(selection))] - before
        batches = ordered_batches(selection, rows, batch_size=64, rank=0, world=1)
        ecg += [scorer.embed_ecg(counts) for counts in batches]
        said.append(own.take(pa.array(rows)))
        patients.append(selection.subject_ids.take(pa.array(rows)))
        before += len(selection)
    column = pa.concat_arrays(said)
    distinct = pc.unique(column)
    number = pc.index_in(column, value_set=distinct).to_numpy().astype(np.int64)
    similarity = np.concatenate(ecg) @ scorer.embed_text(distinct.to_pylist())[number].T
    boot = PatientBootstrap(
        pa.concat_arrays(patients).to_numpy(zero_copy_only=False), resamples=config.resamples, seed=config.seed
    )
    ranks = {"text": retrieval_ranks(similarity, number), "ecg": retrieval_ranks(similarity.T, number)}
    scores: dict[str, Estimate] = {
        f"{what}_top{top}": boot.mean((rank <= top).astype(float)) for what, rank in ranks.items() for top in (1, 5)
    }
    chance = {f"top{top}": round(chance_of(number, top=top), 4) for top in (1, 5)}
    return {
        "records": len(number),
        "patients": boot.patients,
        "distinct_texts": len(distinct),
        "scores": list(scores),
        "chance": chance,
        **{name: vars(found) for name, found in scores.items()},
    }
