"""What the service takes, and how much of it."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

from ecgray.errors import ConfigError

NOTICE = "Research use only; not a medical device."
UNCALIBRATED = f"{NOTICE} Probabilities are not calibrated: they rank."
SHORTEST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Limits, and who may ask. The defaults are for two cores and loopback."""

    token_sha256: str = ""
    """SHA-256 of the bearer token that every request to the API must show; empty: none is asked for."""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names by which the service may be called where no token is asked for: a page of another name that resolves to
    this machine must not be able to ask."""

    json_bytes: int = 2_000_000
    """A JSON body, at the most."""
    batch_bytes: int = 16_000_000
    """A body of /v1/classify/batch or of the Open Inference Protocol."""
    raw_bytes: int = 8_000_000
    """A recording sent as it is."""
    depth: int = 16
    """Arrays and objects of JSON inside each other."""
    body_s: float = 20.0
    """Seconds in which a body must have arrived."""
    answer_s: float = 30.0
    """Seconds in which an answer must be ready; generating has its own limit."""

    queries: int = 256
    """Questions in one request."""
    query_letters: int = 512
    """Letters of one question."""
    letters: int = 32_000
    """Letters of all different questions of a request together: each costs the text encoder some time."""
    batch: int = 64
    """Recordings in one request."""
    ecgs: int = 16
    """ECGs in one request to generate."""
    steps: int = 1000
    """Steps of one request to generate."""

    reading: int = 48
    """Recordings that are being answered or wait; beyond it 429."""
    writing: int = 64
    """ECGs that are being drawn or wait; beyond it 429."""
    bodies: int = 256_000_000
    """Bytes of bodies that are on their way; beyond it 429."""
    explaining: int = 4
    """Answers that are being explained or wait: each takes as long as a hundred answers."""
    generate_s: float = 600.0
    """Seconds in which a request to generate must be done."""

    def asks_for_token(self) -> bool:
        """Whether a bearer token is wanted."""
        return bool(self.token_sha256)


def token_hash(token: str, *, host: str) -> str:
    """The hash of the token that the service asks for; empty on loopback without one.

    Raises `ConfigError` where the service would listen to other machines without a token, or with a short one.

    >>> token_hash("", host="127.0.0.1")
    ''
    """
    if not token:
        if not is_loopback(host):
            raise ConfigError(
                f"host={host} is open to other machines, which needs a bearer token; put one of {SHORTEST_TOKEN} "
                "letters or more into the environment as ECGRAY_TOKEN, or stay on 127.0.0.1."
            )
        return ""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"ECGRAY_TOKEN has {len(token)} letters; it needs {SHORTEST_TOKEN} or more, all ASCII and none a space."
        )
    return hashlib.sha256(token.encode()).hexdigest()


def in_url(host: str) -> str:
    """An address as a URL has it.

    >>> in_url("127.0.0.1"), in_url("::1")
    ('127.0.0.1', '[::1]')
    """
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own and no other can reach it.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "ecg.example")]
    [True, True, True, False, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
