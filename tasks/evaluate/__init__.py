"""Evaluate: a trained recipe measured on pictures it never saw."""

from tasks.evaluate.translation import run

__all__ = ["run"]
