"""Every error that a user can cause, and the exit status that a job gives it.

    EcgrayError
     |- ConfigError     a setting, a recipe or an output folder is wrong   exit 2
     |- EcgInputError   a recording cannot be read: a code, a sentence     exit 2 (in an archive: quarantine)
     |- ArchiveError    an archive's tables cannot be read                 exit 2
     |- ArtifactError   a model folder is incomplete or was altered        exit 2
     |- ServiceError    the service refused or failed (ecgray.client)      exit 2 or 1
     |- ClusterError    the cluster cannot hold or do what is asked        exit 1
     `- TrainingError   training diverged or kept failing                  exit 1

Each message is one sentence: the value, the rule, the remedy. The sentence of an `EcgInputError` holds no text of the
recording (names and identifiers must not reach a log), only our own words and measured numbers.
"""

from __future__ import annotations


class EcgrayError(Exception):
    """What a user can put right; never raised for a fault of ours."""

    exit_status = 2


class ConfigError(EcgrayError):
    """A setting, a recipe or an output folder is wrong."""


class ArchiveError(EcgrayError):
    """An archive's tables cannot be read."""


class ArtifactError(EcgrayError):
    """A model folder is incomplete or was altered."""


class ClusterError(EcgrayError):
    """The cluster cannot hold or do what is asked."""

    exit_status = 1


class TrainingError(EcgrayError):
    """Training diverged or kept failing."""

    exit_status = 1


class EcgInputError(EcgrayError):
    """A recording cannot be read.

    `code` is a stable word (docs/data.md lists them all), `status` the HTTP status that a service answers with.

    >>> error = EcgInputError("too_short", "The recording lasts 1.2 s; at least 2.5 s are needed.")
    >>> error.code, error.status, str(error)
    ('too_short', 422, 'The recording lasts 1.2 s; at least 2.5 s are needed.')
    """

    def __init__(self, code: str, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way from a worker to the driver (Ray pickles exceptions)."""
        return _rebuild, (self.code, str(self), self.status)


def _rebuild(code: str, message: str, status: int) -> EcgInputError:
    return EcgInputError(code, message, status=status)
