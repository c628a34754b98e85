"""Signs of failure that no loss shows: paintings that repeat each other, are all alike, or repeat what was learned."""

from dataclasses import dataclass

from torch import Tensor

from tasks.measures.diversity import ms_ssim
from tasks.measures.memory import copies, duplicates
from tasks.measures.pictures import to_bytes

MANY = 0.5  # share above which paintings have collapsed, or are copied
ALIKE = 0.75  # of the way from the pictures' own likeness to being all one
PAIRS = 32  # of paintings whose likeness is averaged


@dataclass(frozen=True)
class Signs:
    """What one look at paintings saw; `real_` is the same of what they were painted from, or are to be like."""

    duplicates: float  # share that have a twin among the paintings
    real_duplicates: float  # details of one photograph may have one
    copies: float  # share that repeat a picture learned from
    likeness: float  # of two paintings, MS-SSIM, at most 1
    real_likeness: float

    @property
    def repeating(self) -> float:
        """The share that have a twin, beyond that of what they were painted from."""
        return max(0.0, self.duplicates - self.real_duplicates)

    def warning(self) -> str:
        """What a person should know, or nothing."""
        if self.duplicates > max(MANY, 2 * self.real_duplicates):
            return f"{self.duplicates:.0%} of the paintings have a twin: the generator may be collapsing"
        if self.likeness > self.real_likeness + ALIKE * (1 - self.real_likeness):
            return (
                f"the paintings are {self.likeness:.2f} alike (MS-SSIM) and the pictures {self.real_likeness:.2f}: "
                "the generator may be collapsing"
            )
        if self.copies > MANY:
            return f"{self.copies:.0%} of the paintings repeat a picture learned from: it may know them by heart"
        return ""


class Watch:
    """Looks at paintings, knowing the pictures they are to be like: float [N,3,H,W] in (-1,1).

    `painted_from` are the photographs they are painted from, None where that is noise.
    """

    def __init__(self, learned: Tensor, painted_from: Tensor | None) -> None:
        self._learned = to_bytes(learned)
        reals = [self._learned] if painted_from is None else [self._learned, to_bytes(painted_from)]
        self._duplicates = 0.0 if painted_from is None else duplicates(reals[-1], self._learned)
        self._likeness = max(ms_ssim(real, pairs=PAIRS) for real in reals)

    def look(self, painted: Tensor) -> Signs:
        """What there is to see in `painted`, float [N,3,H,W] in (-1,1)."""
        made = to_bytes(painted)
        return Signs(
            duplicates(made, self._learned), self._duplicates, copies(made, self._learned), ms_ssim(made, pairs=PAIRS),
            self._likeness,
        )  # fmt: skip
