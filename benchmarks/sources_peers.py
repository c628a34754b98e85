"""Other people's downloaders on a list of pictures, sixteen at a time where they can, each in a process of its own.

Each is told to keep the files as they are and to try again as often as we do, where it has words for that.
"""

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

IN_FLIGHT, RETRIES = 16, 5
VENV = Path(__file__).resolve().parents[1] / ".venv-peers"
LONGEST = 300  # seconds

IMG2DATASET = f"""
import sys
from img2dataset import download
if __name__ == "__main__":
    download(url_list=sys.argv[1], output_folder=sys.argv[2], resize_mode="no", skip_reencode=True, processes_count=1,
             thread_count={IN_FLIGHT}, retries={RETRIES}, output_format="files", input_format="txt",
             number_sample_per_shard=100000, disallowed_header_directives=[])
"""
ICRAWLER = f"""
import sys
from icrawler.builtin import UrlListCrawler
UrlListCrawler(downloader_threads={IN_FLIGHT}, storage={{"root_dir": sys.argv[2]}}, log_level=50).crawl(
    sys.argv[1], max_num=10**9
)
"""
REQUESTS = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import requests
folder = Path(sys.argv[2])
with requests.Session() as session, ThreadPoolExecutor({IN_FLIGHT}) as pool:
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize={IN_FLIGHT}))
    def one(url):
        answer = session.get(url, timeout=30)
        if answer.ok:
            (folder / url.rpartition("/")[2]).write_bytes(answer.content)
    list(pool.map(one, Path(sys.argv[1]).read_text().split()))
"""


@dataclass(frozen=True)
class Fared:
    """What came of a peer's run: JPEG files that lie there, and seconds of wall clock and CPU."""

    kept: int
    wall: float
    cpu: float


def commands(urls: Path, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The peers that are here, and how each is started; what is missing is said on stderr."""
    python, gallery = VENV / "bin/python", VENV / "bin/gallery-dl"
    yield "requests", [sys.executable, "-c", REQUESTS, str(urls), str(folder)]
    if python.exists():
        yield "img2dataset", [str(python), "-c", IMG2DATASET, str(urls), str(folder / "out")]
        yield "icrawler", [str(python), "-c", ICRAWLER, str(urls), str(folder)]
        yield "gallery-dl", [
            str(gallery), "-q", "--config-ignore", "-R", str(RETRIES), "-D", str(folder), "-i", str(urls),
        ]  # fmt: skip
    else:
        print("img2dataset, icrawler and gallery-dl are not here; `make bench` builds .venv-peers", file=sys.stderr)
    if curl := shutil.which("curl"):
        listed = urls.with_suffix(".curl")
        lines = (f'url = "{url}"\noutput = "{folder}/{url.rpartition("/")[2]}"\n' for url in urls.read_text().split())
        listed.write_text("".join(lines))
        yield "curl", [
            curl, "-sfZ", "--no-progress-meter", "--parallel-max", str(IN_FLIGHT), "--retry", str(RETRIES), "-K",
            str(listed),
        ]  # fmt: skip
    else:
        print("curl is not here", file=sys.stderr)


def race(
    home: Path, base: str, served: Path, count: int, told: Callable[[str, Fared], None] = lambda name, fared: None
) -> dict[str, Fared]:
    """Let every peer fetch the first `count` pictures of the folder `served` from `base`, one peer after the other."""
    names = sorted(path.name for path in served.iterdir())[:count]
    urls = home / "urls.txt"
    urls.write_text("".join(f"{base}/{name}\n" for name in names))
    found: dict[str, Fared] = {}
    for name, command in commands(urls, home / "peer"):
        (home / "peer").mkdir()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=False, timeout=LONGEST, **quiet)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[name] = Fared(sum(map(_is_picture, (home / "peer").rglob("*.jpg"))), wall, cpu)
        told(name, found[name])
        shutil.rmtree(home / "peer")
    return found


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.format == "JPEG"
    except OSError:
        return False
