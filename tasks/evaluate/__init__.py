"""Evaluate: a trained recipe measured on pictures it never saw."""
