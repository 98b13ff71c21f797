"""The service without Ray: the models that ship behind a real port, and small stand-ins where they cannot fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "uploads"))  # what is uploaded, and the table of bad uploads
sys.path.insert(0, str(Path(__file__).parents[1] / "waveform"))

from asking import client_of, records_of
from running_service import running
from stand_ins import ChildService

from ecgray.models.classifier import EMBEDDED as CLASSIFIER
from ecgray.models.generator import EMBEDDED as GENERATOR
from ecgray.service.backends import Backends
from ecgray.service.local import local_backends


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    """The models that ship."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = local_backends(CLASSIFIER, GENERATOR)
    yield found
    found.writer.engine.loop.close()
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def server(backends: Backends) -> Iterator[str]:
    """Their address."""
    with running(backends) as address:
        yield address


@pytest.fixture(scope="session")
def client(server: str) -> Iterator[httpx.Client]:
    with client_of(server) as client:
        yield client


@pytest.fixture(scope="session")
def records() -> np.ndarray:
    """Drawn ECGs of several conditions, int16 (8, 12, 5000)."""
    return records_of(8)


@pytest.fixture(scope="session")
def child() -> Iterator[ChildService]:
    """A service in a process of its own, without pytest's checks of types: its time and memory are the service's."""
    with ChildService() as service:
        yield service
