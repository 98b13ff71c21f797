"""What recipes ask of their numbers."""

from __future__ import annotations

from ecgray.errors import ConfigError


def at_least_one(settings: object, *names: str) -> None:
    """Raise `ConfigError` with the first of these fields that is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ConfigError(f"{name}={getattr(settings, name)} must be at least 1.")


def above_zero(settings: object, *names: str) -> None:
    """Raise `ConfigError` with the first of these fields that is 0 or below, or no number."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise ConfigError(f"{name}={getattr(settings, name)} must be above 0.")
