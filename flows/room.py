"""How much room a stage will want on the disk, by what it made when it last ran; checked before it starts."""

from pathlib import Path

from flows import lock
from flows.settings import load_blocks
from tasks.files import require_room
from tasks.rows import ITEMS, read_scraped

DATA = Path("data")
LEAST = 100_000_000  # bytes for a stage that never ran, and for what every run writes beside its outputs
COPIES = 2  # the output, and the cache's copy of it where the file system shares no blocks


def wanted(stage: str, recorded: lock.Entries) -> int:
    """The bytes that running `stage` will probably want, beside what is there already."""
    step, _, name = stage.partition("@")
    if step != "scrape":
        return LEAST + COPIES * lock.made(recorded.get(stage, {}))
    pictures = load_blocks("pictures")
    kept, num_bytes = kept_pictures(name)
    missing = max(0, int(pictures[name]["scrape"]["limit"]) - kept)
    return LEAST + (COPIES * missing * num_bytes // kept if kept else 0)


def kept_pictures(picture_set: str) -> tuple[int, int]:
    """How many pictures of a set are kept, and their bytes."""
    items = DATA / "1-raw" / picture_set / ITEMS
    sizes = {row.id: row.bytes for row in read_scraped(items) if row.outcome == "kept"} if items.exists() else {}
    return len(sizes), sum(sizes.values())


def require(stage: str) -> None:
    """Raise NoRoom, with both numbers, where the disk has less room than `stage` will probably want."""
    require_room(DATA, wanted(stage, lock.entries()), stage)
