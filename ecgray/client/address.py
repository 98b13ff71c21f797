"""Where the service is, and the way there: plain or TLS, through a proxy or not."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ecgray.errors import ConfigError


@dataclass(frozen=True)
class Address:
    """The address of a service, taken apart."""

    scheme: str
    host: str
    port: int
    prefix: str
    """What stands before /v1, where the service lies behind another one; empty as a rule."""

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}{self.prefix}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this very machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def parse_address(server: str) -> Address:
    """Take apart `http://HOST:PORT`; raises `ConfigError`, which never repeats a password.

    >>> str(parse_address("https://ecg.example/api/"))
    'https://ecg.example:443/api'
    """
    try:
        parts = urlsplit(server.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("the server's address cannot be read; give it as http://127.0.0.1:8000.") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError("the server's address is http://HOST:PORT and nothing more; give a token as token.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("the server's address must begin with http:// or https://, as http://127.0.0.1:8000.")
    return Address(parts.scheme, parts.hostname, port or _port(parts), parts.path.rstrip("/"))


@dataclass(frozen=True, eq=False)
class Way:
    """The way to a service."""

    connection: http.client.HTTPConnection
    """Not open yet."""
    before: str
    """What stands before the path in a request."""
    headers: Mapping[str, str]
    """For a proxy on the way."""


def open_way(address: Address, timeout_s: float) -> Way:
    """The way to an address.

    A proxy of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) is taken, but never to this machine itself.
    """
    proxy = None if address.is_loopback else _proxy(address)
    if proxy is None:
        return Way(_connection(address.scheme, address.host, address.port, timeout_s), address.prefix, {})
    login = _login(proxy)
    assert proxy.hostname
    port = proxy.port or _port(proxy)
    if address.scheme == "http":
        return Way(_connection(proxy.scheme, proxy.hostname, port, timeout_s), str(address), login)
    way = _connection("https", proxy.hostname, port, timeout_s)
    way.set_tunnel(address.host, address.port, headers=login)
    return Way(way, address.prefix, {})


def _connection(scheme: str, host: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    import ssl  # 20 ms that most do without

    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())


def _proxy(address: Address) -> SplitResult | None:
    from urllib.request import getproxies, proxy_bypass

    found: Mapping[str, str] = getproxies()
    named = found.get(address.scheme) or found.get("all")
    if not named or proxy_bypass(f"{address.host}:{address.port}") or proxy_bypass(address.host):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise ConfigError(
            f"{address.scheme.upper()}_PROXY names no http proxy; correct it, or name the host in NO_PROXY."
        )
    return proxy


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


def _port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
