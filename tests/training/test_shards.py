"""Laws of the order and of the reading of shards; no Ray."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from drawn_tables import TERMS, draw_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.errors import ConfigError
from ecgray.parquet import read_table, write_table
from ecgray.tables import ecg_counts
from ecgray.training.order import Order
from ecgray.training.shards import GroupReader, count_terms, ordered_batches, read_ahead, select, training_shares

orders = st.builds(
    lambda groups, batch_size, seed, window: Order(
        np.repeat(np.arange(len(groups)), groups), batch_size=batch_size, seed=seed, window_groups=window
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 17),
    st.integers(0, 3),
    st.integers(1, 5),
)


@settings(max_examples=60, deadline=None)
@given(orders, st.integers(0, 2))
def test_every_record_comes_once_an_epoch(order: Order, epoch: int) -> None:
    first = epoch * order.steps_per_epoch
    seen = np.concatenate([order.batch(step) for step in range(first, first + order.steps_per_epoch)])
    assert sorted(seen) == list(range(len(order.group)))
    assert [order.batch_records(step) for step in range(first, first + order.steps_per_epoch)] == [
        len(order.batch(step)) for step in range(first, first + order.steps_per_epoch)
    ]


@settings(max_examples=60, deadline=None)
@given(orders, st.integers(1, 5), st.integers(0, 40))
def test_the_workers_share_a_batch_that_does_not_depend_on_their_number(order: Order, world: int, step: int) -> None:
    shares = [order.share(step, rank=rank, world=world) for rank in range(world)]
    taken = np.concatenate([records for records, factor in shares if factor > 0])
    np.testing.assert_array_equal(taken, order.batch(step))


@settings(max_examples=60, deadline=None)
@given(orders, st.integers(0, 40))
def test_the_order_is_a_function_of_seed_and_step_alone(order: Order, step: int) -> None:
    again = Order(order.group, batch_size=order.batch_size, seed=order.seed, window_groups=order.window_groups)
    for earlier in range(step + 1):
        order.batch(earlier)
    np.testing.assert_array_equal(order.batch(step), again.batch(step))


def test_another_seed_or_epoch_is_another_order() -> None:
    group = np.repeat(np.arange(40), 16)
    order, other = (Order(group, batch_size=64, seed=seed, window_groups=8) for seed in (0, 1))
    assert (order.batch(0) != other.batch(0)).any()
    assert set(order.batch(0)) != set(order.batch(order.steps_per_epoch))


def test_a_window_of_row_groups_is_all_that_is_mixed() -> None:
    order = Order(np.repeat(np.arange(40), 16), batch_size=32, seed=0, window_groups=4)
    for window in range(10):
        steps = range(window * 2, window * 2 + 2)  # 4 groups of 16 records are 2 batches
        assert len(np.unique(order.group[np.concatenate([order.batch(step) for step in steps])])) == 4


def test_a_worker_reads_its_own_part_of_the_row_groups() -> None:
    """Two workers together read hardly more row groups than one."""
    order = Order(np.repeat(np.arange(64), 16), batch_size=32, seed=0, window_groups=16)
    read = [
        {int(g) for step in range(8) for g in order.group[order.share(step, rank=rank, world=2)[0]]} for rank in (0, 1)
    ]
    assert len(read[0]) + len(read[1]) <= 16 * 1.5


@pytest.mark.parametrize("world", [1, 2, 3])
def test_averaged_gradients_equal_those_of_one_process(world: int) -> None:
    """Also where the last batch is smaller than the number of workers."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(10, 4, dtype=torch.float64, generator=generator)
    targets = torch.rand(10, 3, dtype=torch.float64, generator=generator)
    weight = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    order = Order(np.zeros(10, np.int64), batch_size=4, seed=0)

    def gradient(records: np.ndarray, factor: float) -> torch.Tensor:
        leaf = weight.clone().requires_grad_()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(inputs[records] @ leaf.T, targets[records])
        (loss * factor).backward()
        assert leaf.grad is not None
        return leaf.grad

    for step in range(3):
        whole = gradient(order.batch(step), 1.0)
        parts = [gradient(*order.share(step, rank=rank, world=world)) for rank in range(world)]
        torch.testing.assert_close(torch.stack(parts).mean(0), whole, rtol=1e-12, atol=1e-14)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_tables(tmp_path_factory.mktemp("drawn"), records=150)


def _stored(records: Path) -> np.ndarray:
    return ecg_counts(read_table(records, ["ecg"])["ecg"])


def test_a_selection_joins_records_and_labels_by_id(tables: tuple[Path, Path]) -> None:
    records, labels = tables
    train, val = (select(records, labels, split=split, terms=TERMS) for split in ("train", "val"))
    assert len(train) + len(val) == 150
    assert train.unlabelled == val.unlabelled == train.held_out == 0
    assert not set(train.subject_ids.to_pylist()) & set(val.subject_ids.to_pylist())
    table = read_table(labels).to_pylist()
    of_train = [row["terms"] for row in table if row["split"] == "train"]
    expected = [[term in terms for term in TERMS] for terms in of_train]
    np.testing.assert_array_equal(train.targets(np.arange(len(train))), np.array(expected, np.float32))


def test_labels_in_another_order_make_the_same_selection(tables: tuple[Path, Path], tmp_path: Path) -> None:
    records, labels = tables
    table = read_table(labels)
    write_table(table.take(np.random.default_rng(0).permutation(len(table))), tmp_path / "part-0.parquet")
    one, other = (select(records, folder, split="val", terms=TERMS) for folder in (labels, tmp_path))
    np.testing.assert_array_equal(one.group, other.group)
    every = np.arange(len(one))
    np.testing.assert_array_equal(one.targets(every), other.targets(every))


def test_records_without_labels_are_counted(tables: tuple[Path, Path], tmp_path: Path) -> None:
    records, labels = tables
    write_table(read_table(labels).slice(7), tmp_path / "part-0.parquet")
    train = select(records, tmp_path, split="train", terms=TERMS)
    assert train.unlabelled == 7
    assert len(train) == 120 - 7


def test_records_that_carry_an_unseen_term_are_left_out(tables: tuple[Path, Path]) -> None:
    records, labels = tables
    counts = count_terms(labels, split="train")
    train = select(records, labels, split="train", terms=TERMS[:2], unseen_terms=TERMS[2:])
    assert train.held_out == counts["tall pulses"]
    assert len(train) == 120 - counts["tall pulses"]
    seen = count_terms(labels, split="train", unseen_terms=TERMS[2:])
    assert seen == {
        term: int(count)
        for count, term in sorted(
            zip(train.targets(np.arange(len(train))).sum(0), TERMS[:2], strict=True), key=lambda pair: -pair[0]
        )
    }


def test_the_reader_gives_the_stored_counts(tables: tuple[Path, Path]) -> None:
    records, labels = tables
    train = select(records, labels, split="train", terms=TERMS)
    splits = read_table(records, ["split"])["split"].to_pylist()
    stored = _stored(records)[[split == "train" for split in splits]]
    wanted = np.random.default_rng(0).permutation(len(train))[:40]
    for memory_bytes in (0, 1e9):
        reader = GroupReader(train, memory_bytes=memory_bytes)
        for kind in (np.int16, np.float32):
            ecgs = reader.ecgs(wanted, kind=kind)
            assert ecgs.dtype == kind
            np.testing.assert_array_equal(ecgs, stored[wanted])


def test_the_reader_keeps_no_more_than_its_memory(tables: tuple[Path, Path]) -> None:
    train = select(*tables, split="train", terms=TERMS)
    reader = GroupReader(train, memory_bytes=3 * 16 * 120_000)
    for start in range(0, len(train), 5):
        reader.ecgs(np.arange(len(train))[start : start + 5])
        assert sum(counts.nbytes for counts in reader._kept.values()) == reader._kept_bytes <= 3 * 16 * 120_000


def test_a_selection_in_memory_is_read_once(tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = GroupReader._read
    monkeypatch.setattr(GroupReader, "_read", lambda self, group: (read.append(group), original(self, group))[1])
    train = select(*tables, split="train", terms=TERMS)
    order = Order(train.group, batch_size=32, seed=0)
    batches = training_shares(train, order, steps=range(12), rank=0, world=1, memory_bytes=1e9)
    assert sum(len(batch.ecg) for batch in batches) == 3 * len(train)
    assert sorted(read) == sorted(set(train.group.tolist()))


def test_a_run_taken_up_in_the_middle_sees_the_same_batches(tables: tuple[Path, Path]) -> None:
    train = select(*tables, split="train", terms=TERMS)

    def batches(steps: range) -> list[tuple[int, bytes, bytes, float]]:
        order = Order(train.group, batch_size=32, seed=5)
        found = training_shares(train, order, steps=steps, rank=1, world=2, memory_bytes=1e9)
        return [(batch.step, batch.ecg.tobytes(), batch.target.tobytes(), batch.factor) for batch in found]

    assert batches(range(7))[3:] == batches(range(3, 7))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ordered_batches_cover_a_selection_once(tables: tuple[Path, Path], world: int) -> None:
    val = select(*tables, split="val", terms=TERMS)
    every = np.arange(len(val))
    parts = [ordered_batches(val, every, batch_size=7, rank=rank, world=world) for rank in range(world)]
    pieces = [piece for part in parts for piece in part]
    np.testing.assert_array_equal(np.concatenate(pieces), GroupReader(val, memory_bytes=0).ecgs(every))
    assert max(len(piece) for piece in pieces) <= 7


def test_a_table_of_another_shape_is_refused(tables: tuple[Path, Path], tmp_path: Path) -> None:
    records, labels = tables
    table = pq.read_table(sorted(records.glob("*.parquet"))[0])
    metadata = {**(table.schema.metadata or {}), b"ecg_fs_hz": b"250"}
    write_table(table.replace_schema_metadata(metadata), tmp_path / "part-0.parquet")
    with pytest.raises(ConfigError, match="ecg_fs_hz=250"):
        select(tmp_path, labels, split="train", terms=TERMS)


def test_a_table_of_another_kind_is_refused(tables: tuple[Path, Path]) -> None:
    records, labels = tables
    with pytest.raises(ConfigError, match="column 'ecg' is missing"):
        select(labels, None, split="train")
    with pytest.raises(ConfigError, match="column 'terms' is missing"):
        select(records, records, split="train", terms=TERMS)
    with pytest.raises(ConfigError, match="column 'terms' is missing"):
        count_terms(records, split="train")


def test_reading_ahead_keeps_the_order_and_raises_what_the_source_raises() -> None:
    assert list(read_ahead(lambda: iter(range(20)))) == list(range(20))

    def broken():
        yield 1
        raise ConfigError("no such file")

    pieces = read_ahead(broken)
    assert next(pieces) == 1
    with pytest.raises(ConfigError, match="no such file"):
        next(pieces)


def test_reading_ahead_ends_with_its_user() -> None:
    pieces = read_ahead(lambda: iter(range(1_000_000)))
    next(pieces)
    pieces.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
