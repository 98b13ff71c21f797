"""What the tests share: types and shapes checked at run time, real recordings, one local Ray, the order of the run."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's 15 a worker never gets up beside other work on the machine

ROOT = Path(__file__).parents[1]
BEARTYPE = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # an int is a float, as for mypy


class CheckedImport(MetaPathFinder):
    """Imports ecgray's modules with every annotation checked at each call: types by beartype, axes by jaxtyping.

    What a module imports under `if TYPE_CHECKING:` is imported too, so that its annotations mean something.
    ecgray.cluster is left as it is: Ray carries its functions to processes that know nothing of this.
    """

    def __init__(self) -> None:
        rooms = sorted(path.stem for path in (ROOT / "ecgray").iterdir() if path.name[0].isalpha())
        manager = install_import_hook([f"ecgray.{room}" for room in rooms if room != "cluster"], BEARTYPE)
        manager.uninstall()  # we stand in its place
        self._checked = manager.hook

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = self._checked.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            compile_source = spec.loader.source_to_code  # type: ignore[attr-defined]

            def compile_with_imports(source: bytes, *args: Any, **options: Any) -> Any:
                return compile_source(re.sub(rb"(?m)^if TYPE_CHECKING:", b"if True:", source), *args, **options)

            spec.loader.source_to_code = compile_with_imports  # type: ignore[attr-defined]
        return spec


if not any(name.startswith("ecgray.") for name in sys.modules):
    sys.meta_path.insert(0, CheckedImport())
    importlib.invalidate_caches()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The fast tests first, then those that start a Ray."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests on real recordings ran."""
    outcome = {
        name: sum("real" in report.keywords for report in terminalreporter.getreports(name))
        for name in ("passed", "failed", "skipped")
    }
    ran = outcome["passed"] + outcome["failed"]
    terminalreporter.write_line(f"on real recordings: {ran} tests ran, {outcome['skipped']} were skipped")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings that ECGRAY_REAL_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("ECGRAY_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ECGRAY_REAL_DATA names no folder of real recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One local Ray of four logical CPUs for every wiring test of this run."""
    from ecgray.cluster.connect import connected

    with connected(num_cpus=4, dashboard=True):
        yield
