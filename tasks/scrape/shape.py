"""Answers that are no longer what they were: said as that, whatever their parser stumbles over."""

from collections.abc import Generator
from contextlib import contextmanager

from tasks.errors import BarenError, ShapeChanged


@contextmanager
def taken_apart(what: str, must: str) -> Generator[None]:
    """In the block, or the function that this decorates, `what` is read; ShapeChanged where it cannot be as it is.

    `must` says what is to be done about it. To a parser a site may give anything: a text for an object, an empty list,
    Infinity for a number, lists in lists without end.
    """
    try:
        yield
    except BarenError:
        raise
    except KeyError as error:
        raise ShapeChanged(f"{what} lacks {error}; {must}") from error
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise ShapeChanged(f"{what} is not built as it was ({error}); {must}") from error
