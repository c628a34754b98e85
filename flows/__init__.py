"""Flows: Prefect only. When, where, and again; what is stale is DVC's to say."""
