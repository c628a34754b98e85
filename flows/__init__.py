"""Flows: Prefect only. When, where, and again; what is stale is DVC's to say."""

import os

# However a flow is started (by hand, by a server's worker), Prefect tells nobody about it unless asked to.
for name, value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}.items():
    os.environ.setdefault(name, value)
