"""The exceptions a person can meet, in one tree.

    BarenError (ValueError)      something a person can act on; one sentence: what, where, what to do
    |-- ParamsError              params.yaml, a command line, a curation file
    |-- SourceError              a place pictures come from
    |   |-- Transient            worth asking again later: timeouts, 5xx, 429, a truncated answer
    |   |-- Gone                 will not come back: 404, 410, a deleted picture
    |   |-- Blocked              the site turned us away: robots, captcha, consent page, ban, a wrong key
    |   |-- Exhausted            a quota is spent; `until` says when to come back
    |   `-- ShapeChanged         the page or the answer no longer looks as it did; never taken for "no results"
    |-- PictureRefused           one picture is not to be used; `reason` is the name it is counted under
    |   `-- TooLarge             it has more bytes or pixels than `bound`, which a person may raise
    |-- ShardError               shards that are damaged, foreign or too few
    |-- CheckpointError          a checkpoint that is damaged, or of another recipe, size or version
    |-- TrainingFailed           a loss that exploded, memory that ran out, a network that collapsed
    |-- DeviceLost               the GPU no longer answers: no fault of what is trained on it
    `-- NoRoom                   the disk is full, or would be

    Stopped (BaseException)      somebody asked us to stop (Ctrl-C, SIGTERM); the process exits with 128 + signal

A disk that is full, or a place where nothing may be written, is told in a sentence too. Anything else that reaches the
top is a bug of ours and shows its traceback.
"""

import signal
from datetime import datetime


class BarenError(ValueError):
    """Something a person can act on; the text is one sentence that says what, where and what to do."""


class ParamsError(BarenError):
    """A setting is unknown, of the wrong type, impossible, or contradicts another."""


class SourceError(BarenError):
    """A source could not give what was asked."""


class Transient(SourceError):
    """Asked again and again, still no answer; a later run may succeed."""


class Gone(SourceError):
    """What was asked for no longer exists."""


class Blocked(SourceError):
    """The site refuses us; going on would be impolite and useless."""


class Exhausted(SourceError):
    """A quota is spent until `until` (UTC; None where the site does not say), that of `host` ("": of no one host)."""

    def __init__(self, message: str, until: datetime | None = None, host: str = "") -> None:
        super().__init__(message)
        self.until, self.host = until, host


class ShapeChanged(SourceError):
    """An answer lacks what it always had: the site changed, and its parser must follow."""


class PictureRefused(BarenError):
    """One picture is not to be used; `reason` is one of the short names refusals are counted under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class TooLarge(PictureRefused):
    """It has more bytes or pixels than `bound`: a smaller rendition may do, or a higher bound."""

    def __init__(self, reason: str, detail: str, bound: int) -> None:
        super().__init__(reason, detail)
        self.bound = bound


class ShardError(BarenError):
    """A shard, or the index that names it, cannot be used."""


class CheckpointError(BarenError):
    """A checkpoint cannot be used here."""


class TrainingFailed(BarenError):
    """Training cannot sensibly go on."""


class DeviceLost(BarenError):
    """The GPU no longer answers; what is saved goes on elsewhere, or once it is back."""


class NoRoom(BarenError):
    """There is not enough free space on the disk."""


class Stopped(BaseException):
    """A signal asked for the end; what is finished is saved, and nothing unfinished looks finished."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """The shell's convention for an end by signal."""
        return 128 + self.signum
