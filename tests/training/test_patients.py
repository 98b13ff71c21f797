"""A patient on both sides of a split is refused, and counted, wherever records are learnt from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_tables import draw_tables

from ecgray.cluster.diffusion import train_diffusion
from ecgray.errors import ConfigError
from ecgray.models.generator import EMBEDDED
from ecgray.parquet import parquet_files, write_table
from ecgray.recipes.train_diffusion import TrainDiffusionConfig
from ecgray.tables import RECORD_GROUP
from ecgray.training.patients import refuse_shared_patients
from ecgray.training.shards import select

SHARED = 3


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Records of which three patients have one ECG in training and one in validation."""
    records, _ = draw_tables(tmp_path, records=20)
    file = parquet_files(records)[0]
    table = pq.read_table(file)
    split = ["val" if n % 2 and n // 2 < SHARED else value for n, value in enumerate(table["split"].to_pylist())]
    at = table.schema.get_field_index("split")
    write_table(table.set_column(at, table.schema.field(at), pa.array(split)), file, row_group=RECORD_GROUP)
    return records


def test_whoever_selects_a_split_is_refused(leaking: Path) -> None:
    with pytest.raises(ConfigError, match="3 patients of the records stand in the training set and in another one"):
        select(leaking, None, split="train")


def test_the_diffusion_is_refused_before_it_starts(leaking: Path, tmp_path: Path) -> None:
    config = TrainDiffusionConfig(
        records=leaking, latents=tmp_path / "latents", vae=EMBEDDED, out=tmp_path / "out", wordings="report"
    )
    with pytest.raises(ConfigError, match="3 patients"):
        train_diffusion(config)
    assert not (tmp_path / "out").exists()


def test_patients_on_one_side_each_pass(tmp_path: Path) -> None:
    records, _ = draw_tables(tmp_path, records=20)
    refuse_shared_patients(records)
