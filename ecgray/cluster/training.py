"""Pre-training on Ray Train: settle what is learnt, start the workers, make a model folder of the best they found."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from ray.train import UserCallback
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.loop import Plan, drawn_records, train_loop
from ecgray.cluster.preflight import check_room
from ecgray.cluster.workers import CHECKPOINTS, Workers, run_workers
from ecgray.errors import ConfigError, TrainingError
from ecgray.models import Classifier
from ecgray.output import input_hash, output_folder
from ecgray.parquet import read_table, table_folder
from ecgray.settings import to_json
from ecgray.supreme.card import model_card
from ecgray.supreme.model import Supreme
from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.text.terms import TERMS
from ecgray.training.checkpoints import Checkpoint, newest_checkpoint
from ecgray.training.journal import live_bar, read_journal
from ecgray.training.order import Order
from ecgray.training.shards import Selection, count_terms

if TYPE_CHECKING:
    from ecgray.recipes.pretrain import PretrainConfig


def pretrain(config: PretrainConfig, *, callbacks: Sequence[UserCallback] = (), bar: bool = True) -> dict[str, Any]:
    """Train a classifier; figures of the best model, which lies in OUT/model.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    config = config.with_preset()
    inputs = {"records": config.records, "labels": config.labels}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        encoder = load_text_encoder(config.text_encoder, pooler=config.text_pooler)
        plan, train, val = settle(config, encoder)
        with connected(dashboard=True) if config.workers else contextlib.nullcontext():
            if config.workers:
                check_room(
                    workers=config.workers,
                    cpus=config.cpus_per_worker,
                    gpus=int(config.gpu),
                    spare_cpus=config.spare_cpus,
                )
            before = newest_checkpoint(plan.out / CHECKPOINTS)
            if before is not None:
                tqdm.write(f"pretrain: goes on from step {before.step}", file=sys.stderr)
            with live_bar(plan.out, name="pretrain", total=plan.steps, shown=bar):
                _fit(plan, folder.fingerprint, callbacks)
        last = newest_checkpoint(plan.out / CHECKPOINTS)
        assert last is not None
        return folder.finish(_export(plan, last, encoder, train, val))


def settle(config: PretrainConfig, encoder: TextEncoder) -> tuple[Plan, Selection, Selection]:
    """The terms, their vectors and the number of steps; refuses tables that nothing can be learnt from."""
    labels = table_folder(config.labels, "labels").absolute()
    _refuse_unknown(config.unseen_terms, labels)
    counts = count_terms(labels, split="train", unseen_terms=config.unseen_terms)
    terms = tuple(sorted(term for term, count in counts.items() if count >= config.min_term_count))
    if not terms:
        raise ConfigError(
            f"{labels} has no term that {config.min_term_count} training records carry; label more records, or lower "
            "--min-term-count."
        )
    plan = Plan(
        config=dataclasses.replace(config, model=dataclasses.replace(config.model, text_width=encoder.width)),
        records=table_folder(config.records, "records").absolute(),
        labels=labels,
        out=config.out.absolute(),
        terms=terms,
        queries=encoder.encode(terms),
        steps=0,
        steps_per_epoch=0,
    )
    train, val = plan.open_split("train"), plan.open_split("val")
    _refuse_empty(plan, train, val)
    _refuse_one_sided(plan, val)
    per_epoch = Order(train.group, batch_size=config.batch_size, seed=config.seed).steps_per_epoch
    steps = config.steps or config.epochs * per_epoch
    optimizer = plan.config.optimizer
    if config.one_cycle:
        optimizer = dataclasses.replace(optimizer, restart_steps=max(1, steps - optimizer.warmup_steps))
    settled = dataclasses.replace(plan.config, optimizer=optimizer)
    return dataclasses.replace(plan, config=settled, steps=steps, steps_per_epoch=per_epoch), train, val


def _refuse_empty(plan: Plan, train: Selection, val: Selection) -> None:
    for split, selection in (("train", train), ("val", val)):
        if len(selection) == 0:
            raise ConfigError(
                f"{plan.records} and {plan.labels} share no record of split {split!r} that may be learnt from "
                f"({selection.unlabelled} without labels, {selection.held_out} with unseen terms); label the same "
                "records that were ingested."
            )


def _refuse_unknown(unseen_terms: Sequence[str], labels: Path) -> None:
    """A misspelt term would be held out of nothing, and the condition learnt."""
    known = {*TERMS, *pc.unique(read_table(labels, ["terms"])["terms"].combine_chunks().flatten()).to_pylist()}
    unknown = [term for term in unseen_terms if term not in known]
    if unknown:
        raise ConfigError(
            f"unseen term {unknown[0]!r} is neither in {labels} nor in the vocabulary, so nothing can be kept from "
            "training for it; give a term as docs/labels.md spells it."
        )


def _refuse_one_sided(plan: Plan, val: Selection) -> None:
    """Without a term that some held-out records carry and others do not, there is no score to choose a model by."""
    held = val.targets(drawn_records(len(val), plan.config.val_records, plan.config.seed))
    if not (held.any(axis=0) & ~held.all(axis=0)).any():
        raise ConfigError(
            f"no term is carried by some of the {len(held)} held-out records of {plan.records} and not by others, so "
            "no model can be chosen by them; label more, or ingest with a larger --val-percent."
        )


def _fit(plan: Plan, name: str, callbacks: Sequence[UserCallback]) -> None:
    config = plan.config
    workers = Workers(config.workers, config.cpus_per_worker, config.gpu)
    outcome = run_workers(train_loop, plan, workers=workers, out=plan.out, name=name, callbacks=callbacks)
    if "diverged" in outcome:
        raise TrainingError(_diagnosis(outcome["diverged"], plan))


def _diagnosis(row: dict[str, str], plan: Plan) -> str:
    said = ", ".join(f"{name}={value}" for name, value in row.items() if name not in {"epoch", "records_per_s"})
    return (
        f"training diverged: {said}. No such weights were kept; the best model so far is in "
        f"{plan.out / CHECKPOINTS}. Lower --optimizer.learning-rate ({plan.config.optimizer.learning_rate:g}) or "
        f"--optimizer.clip-norm ({plan.config.optimizer.clip_norm:g}), or look for a broken record, and give another "
        "--out."
    )


def _export(plan: Plan, last: Checkpoint, encoder: TextEncoder, train: Selection, val: Selection) -> dict[str, Any]:
    """Make the model folder of the best weights; returns the run's figures."""
    rows = read_journal(plan.out)
    looks = [row for row in rows if "val_macro_auc" in row]
    best = max(looks, key=lambda row: row["val_macro_auc"])
    final = [row["loss"] for row in rows[-20:]]
    figures = {
        "loss": sum(final) / len(final),
        "val_loss": best["val_loss"],
        "val_macro_auc": best["val_macro_auc"],
        "best_step": best["step"],
        "steps": last.step,
        "records": len(train),
        "val_records": len(val),
        "unlabelled": train.unlabelled + val.unlabelled,
        "held_out": train.held_out + val.held_out,
        "terms": len(plan.terms),
        "records_per_s": last.state["seen"] / last.state["seconds"],
    }
    model = Supreme(plan.config.model)
    model.load_state_dict(last.tensors["best"])
    classifier = Classifier.from_parts(model, encoder, plan.config.preprocess)
    card = model_card(
        config=plan.config.model,
        text_encoder=encoder.name,
        records=f"{len(train):,} training and {len(val):,} held-out ECGs; split by patient.",
        training=_training(plan),
        figures=figures,
        terms=plan.terms,
        unseen_terms=plan.config.unseen_terms,
    )
    settings = {name: value for name, value in to_json(plan.config).items() if name not in {"records", "labels", "out"}}
    trained_on = input_hash(plan.records)
    details = {"terms": list(plan.terms), "figures": figures, "settings": settings, "trained_on": trained_on}
    classifier.save(plan.out / "model", card=card, details=details)
    return figures | {"model": str(plan.out / "model")}


def _training(plan: Plan) -> dict[str, object]:
    config = plan.config
    return {
        "records a step": config.batch_size,
        "steps at the most": plan.steps,
        "optimiser": f"AdamW, learning rate {config.optimizer.learning_rate:g}, "
        f"weight decay {config.optimizer.weight_decay:g}, cosine over {config.optimizer.restart_steps} steps",
        "loss": "asymmetric" if config.loss.gamma_negative or config.loss.gamma_positive else "binary cross entropy",
        "preprocessing": config.preprocess.scale,
        "seed": config.seed,
        "workers": config.workers,
    }
