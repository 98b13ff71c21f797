"""What `ecgray doctor` asks of Ray: which ones run here, and who may use them.

It starts nothing and does not even import Ray: it reads /proc and opens connections with short time limits.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

DASHBOARD_PORT = 8265
_OPTION = re.compile(r"--(gcs-address|webui|temp-dir)=(\S*)")


@dataclass(frozen=True)
class LocalRay:
    """A Ray node that runs on this machine."""

    pid: int
    """Of its raylet."""
    uid: int
    """Whose it is."""
    address: str
    """Of the head: what RAY_ADDRESS would name."""
    dashboard: str
    """host:port; empty where there is none."""
    folder: str
    """Where it logs."""


def local_rays(proc: Path = Path("/proc")) -> list[LocalRay]:
    """Every Ray node of this machine that /proc lets us see."""
    found = []
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            if (process / "comm").read_text().strip() != "raylet":
                continue
            said = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            uid = process.stat().st_uid
        except OSError:  # it ended, or is hidden
            continue
        options = dict(_OPTION.findall(said))
        dashboard = options.get("webui", "")
        found.append(
            LocalRay(
                int(process.name),
                uid,
                options.get("gcs-address", ""),
                dashboard if ":" in dashboard else "",
                options.get("temp-dir", ""),
            )
        )
    return sorted(found, key=lambda ray: ray.pid)


def asks_for_token(dashboard: str, *, timeout_s: float) -> bool | None:
    """Whether a dashboard (and with it the door for jobs) wants a token; None where it does not answer."""
    host, _, port = dashboard.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    try:
        connection.request("GET", "/api/authentication_mode")
        response = connection.getresponse()
        said = response.read(1000)
        return response.status == 401 or (response.status == 200 and json.loads(said)["authentication_mode"] == "token")
    except (ValueError, KeyError, TypeError):
        return False  # a Ray from before it knew of tokens
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def place_of(address: str) -> tuple[str, int] | None:
    """Host and port of a RAY_ADDRESS; None where it names none (`auto`, `local`).

    >>> place_of("10.0.0.1:6379"), place_of("ray://head:10001"), place_of("http://[::1]:8265"), place_of("auto")
    (('10.0.0.1', 6379), ('head', 10001), ('::1', 8265), None)
    """
    plain = address.rpartition("://")[2].rpartition("@")[2].rstrip("/")  # no password is carried on
    host, _, port = plain.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() and int(port) < 1 << 16 else None


def answers(place: tuple[str, int], *, timeout_s: float) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(place, timeout=timeout_s).close()
    except OSError:
        return False
    return True


def user_of(uid: int) -> str:
    """Who a user is."""
    import pwd

    try:
        return "yours" if uid == os.getuid() else pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
