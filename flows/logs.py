"""The log of the runs as JSON lines, one file a day: .scratch/logs/2030-01-31.jsonl."""

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.files import SCRATCH

LOGS = SCRATCH / "logs"
LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class JsonLines(logging.Handler):
    """Writes each record as one line: when (UTC), level, flow, run, task (where it is one's) and the message."""

    def __init__(self, folder: Path = LOGS) -> None:
        super().__init__()
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        when = datetime.fromtimestamp(record.created, UTC)
        line = {
            "when": f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z",
            "level": record.levelname,
            "flow": getattr(record, "flow_name", None),
            "run": getattr(record, "flow_run_name", None),
            "task": getattr(record, "task_run_name", None),
            "message": record.getMessage(),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"{when:%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False) + "\n")
        except OSError:  # a log that cannot be written ends no run
            self.handleError(record)


@contextmanager
def written_down() -> Generator[None]:
    """As long as this lasts, what runs say is written to the day's file too."""
    handler = JsonLines()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
