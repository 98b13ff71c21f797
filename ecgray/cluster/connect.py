"""Join the cluster that RAY_ADDRESS names, or start a Ray of our own on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import ray
import ray.data

from ecgray.errors import ClusterError, EcgrayError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 20
"""How long the head of a cluster may take to answer at all."""
_LONGEST = 28
_PREFIX, _OWNER = "ecgray-", "owner"
START_ATTEMPTS = 3
"""How often Ray may take longer than its own 30 s to start on a busy machine."""


@contextlib.contextmanager
def connected(*, num_cpus: int | None = None, dashboard: bool = False) -> Iterator[None]:
    """A Ray to work on: the one already joined, the one that RAY_ADDRESS names, else one of our own on this machine.

    A bare `ray.init()` would silently join any cluster of this host; this never does. Our own is shut down at the end.
    It starts faster and takes half the memory without a `dashboard`; Ray Train's cleaner logs an error twice a second
    where there is none.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    with _own_folder() if address == "local" else contextlib.nullcontext() as folder:
        try:
            if folder is None:
                _join(address)
            else:
                _start_own(num_cpus, dashboard, folder)
                folder.chmod(0o700)  # Ray opens it to everybody
            _quieten()
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for one Ray, gone at the end, but for the logs of a fault that is no user's.

    Its sockets' paths may have 107 letters and are 61 longer than the folder's. Folders of processes that were killed
    go first: the lock on a file in it ends with the process that holds it.
    """
    place = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    place = place if len(place) <= _LONGEST else "/tmp"  # noqa: S108
    for left in Path(place).glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError), left.open("rb+") as file:  # another user's, or one that is at work
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    owner = folder / _OWNER
    with (folder / "new").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (folder / "new").rename(owner)  # nobody finds it before it is locked
        try:
            yield folder
        except (EcgrayError, KeyboardInterrupt):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except BaseException:
            owner.unlink(missing_ok=True)  # so that it stays
            print(f"ray: what it logged is in {folder}", file=sys.stderr)
            raise
    shutil.rmtree(folder, ignore_errors=True)


def _join(address: str) -> None:
    """Join a cluster. Ray tries for four minutes where nobody listens, so that is asked first."""
    print(f"ray: joining {address}", file=sys.stderr)
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit() and "/" not in address:
            socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except OSError as error:  # ConnectionError of Ray is one
        raise ClusterError(
            f"no Ray answers at RAY_ADDRESS={address} ({type(error).__name__}); start one there, or unset RAY_ADDRESS "
            "for one of this machine's own."
        ) from error


def _start_own(num_cpus: int | None, dashboard: bool, folder: Path) -> None:
    """Start a Ray, again where a busy machine needs longer than the 30 s that Ray waits for its own node."""
    print("ray: starting on this machine", file=sys.stderr)
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            _init(num_cpus, dashboard, folder)
            return
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            if attempt == START_ATTEMPTS:
                raise ClusterError(
                    f"Ray did not come up on this machine in {START_ATTEMPTS} attempts of 30 s; it is too busy: try "
                    "again later, or name a running cluster in RAY_ADDRESS."
                ) from error
            print("ray: not up after 30 s, trying again", file=sys.stderr)


def _init(num_cpus: int | None, dashboard: bool, folder: Path) -> None:
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        dashboard_port=0,
        object_store_memory=_object_store_bytes(),
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        _temp_dir=str(folder),
    )


def _object_store_bytes() -> int:
    """A quarter of what is free, 200 MB to 8 GB: records stream through it 64 at a time."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min(8e9, max(2e8, free / 4)))


def _quieten() -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # our own bar speaks of records, not of blocks
    context.print_on_execution_start = False
    context.execution_options.verbose_progress = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it warns of the bars put off above
