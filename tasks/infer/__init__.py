"""Infer: whole photographs painted by tiles."""
