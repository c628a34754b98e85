"""Signs of failure that no loss shows: paintings that repeat each other, or the pictures learned from."""

from dataclasses import dataclass

from torch import Tensor

from tasks.measures.memory import copies, duplicates
from tasks.measures.pictures import to_bytes

MANY = 0.5  # share above which paintings have collapsed, or are copied


@dataclass(frozen=True)
class Repeats:
    """Shares of paintings, 0 to 1."""

    duplicates: float  # that have a twin among the paintings
    expected: float  # of what they were painted from that has a twin: details of one photograph may
    copies: float  # that repeat a picture learned from

    def warning(self) -> str:
        """What a person should know, or nothing."""
        if self.duplicates > max(MANY, 2 * self.expected):
            return f"{self.duplicates:.0%} of the paintings have a twin: the generator may be collapsing"
        if self.copies > MANY:
            return f"{self.copies:.0%} of the paintings repeat a picture learned from: it may know them by heart"
        return ""


def repeats(painted: Tensor, learned: Tensor, painted_from: Tensor | None) -> Repeats:
    """How far paintings repeat; all float [N,3,H,W] in (-1,1), `painted_from` None where that was noise."""
    made, known = to_bytes(painted).cpu(), to_bytes(learned).cpu()
    expected = 0.0 if painted_from is None else duplicates(to_bytes(painted_from).cpu(), known)
    return Repeats(duplicates(made, known), expected, copies(made, known))
