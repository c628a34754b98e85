"""How completely, politely and cheaply pictures are collected; each row runs the code that the scrape step runs.

The download row is served by nginx where it is installed (Debian's), else by a server of our own in another process;
the faulty servers are ours. The peers stand in benchmarks/sources_peers.py; the ratios to a bare requests.Session are
taken in one process, turn by turn.
"""

import io
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from benchmarks.sources_peers import Fared, race
from tasks.progress import Progress
from tasks.rows import read_scraped
from tasks.scrape import collect
from tasks.scrape.settings import Scrape
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

IN_FLIGHT = 16
CHILD = """
import sys
from pathlib import Path
from benchmarks.sources import scrape
out = Path(sys.argv[1])
scrape(out, sys.argv[2], int(sys.argv[3]), out.name)
# the peak since this program began, in KiB; ru_maxrss would begin with the parent's
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class ListQuery(Settings):
    """A numbered list of pictures at one address."""

    base: str
    count: int


class Listed(Source[ListQuery]):
    """Pictures 0 to count - 1 of a server on this machine."""

    name = "listed"
    Query = ListQuery
    manners = Manners(hosts=("127.0.0.1",), pause=0.0, connections=IN_FLIGHT)

    def discover(self, query: ListQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Every picture of the list."""
        for n in range(query.count):
            url = f"{query.base}/{n:06}.jpg"
            yield Item(f"{n:06}", url, (Shot(url),))


def scrape(out: Path, base: str, count: int, picture_set: str = "bench") -> None:
    """Collect the list into `out`, as the step does, with every manner on but the pause."""
    settings = Scrape(
        use="./benchmarks/sources.py:Listed", limit=count, contact="bench@example.org", private_hosts=("127.0.0.1",),
        query={"base": base, "count": count},
    )  # fmt: skip
    collect.collect(picture_set, settings, out, Progress(io.StringIO()), lambda: NOON)


def main(*, quick: bool) -> dict[str, float]:
    """Every figure, with a line for each as it is measured."""
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="baren-bench-") as name:
        home, before = Path(name), Path.cwd()
        (home / "benchmarks").symlink_to(before / "benchmarks")
        os.chdir(home)
        try:
            for part in (_cap, _wikiart, _cse, _errors, _limit, _kills, _download, _memory):
                began = time.monotonic()
                figures = part(home, quick)
                rows |= figures
                told = ", ".join(f"{key} {value:,.3f}" for key, value in figures.items())
                print(f"{part.__name__.strip('_'):10}{told}   ({time.monotonic() - began:.0f} s)", flush=True)
        finally:
            os.chdir(before)
    return rows


def _cap(home: Path, quick: bool) -> dict[str, float]:
    """10,000 photos of the museum's Flickr, which gives 4,000 of a search, over HTTP."""
    from tasks.scrape.museum.flickr import FlickrSite

    draw = random.Random(1)
    moment, moments = 1_300_000_000, list[int]()
    for _ in range(10_000):
        moment += draw.choice((3, 60, 900)) if draw.random() < 0.995 else 3_000_000  # in bursts, as people upload
        moments.append(moment)
    keys, calls = _discovered(home, "flickr", FlickrSite(_works(moments), overlap=2), {"text": "sea"})
    return {"flickr_found_10k": len(set(keys)), "flickr_calls_10k": calls}


def _wikiart(home: Path, quick: bool) -> dict[str, float]:
    """20,000 portraits among 22,000 works of the museum's WikiArt, whose listings end behind 3,600."""
    from tasks.scrape.museum.wikiart import WikiArtSite

    site = WikiArtSite(_works(range(22_000)), genre=lambda n: "portrait" if n % 11 else "landscape")
    keys, calls = _discovered(home, "wikiart", site, {"genre": "portrait"})
    return {"wikiart_found_20k": len(set(keys)), "wikiart_twice": len(keys) - len(set(keys)), "wikiart_calls": calls}


def _cse(home: Path, quick: bool) -> dict[str, float]:
    """5,000 pictures behind one search of the museum's Custom Search, which shows 99 of it."""
    from tasks.scrape.museum.google import GoogleSite

    block = {"backend": "cse", "text": "sea", "calls_a_day": 10_000}
    keys, calls = _discovered(home, "google_images", GoogleSite(_works(range(5_000))), block)
    return {"cse_found_5k": len(set(keys)), "cse_twice": len(keys) - len(set(keys)), "cse_calls_5k": calls}


def _works(moments: Sequence[int]) -> list[Any]:
    """Works of 50 artists, uploaded at these moments; nobody fetches them."""
    from tasks.scrape.museum.works import Work

    return [Work(f"w{n}", f"o{n % 50}", "Sea", f"A {n % 50}", "CC0", at, 60, 40, bytes) for n, at in enumerate(moments)]


def _discovered(home: Path, use: str, site: Any, block: Mapping[str, Any]) -> tuple[list[str], int]:
    """The keys that a query finds at a site of the museum's, over HTTP, and how many requests it took."""
    from contextlib import ExitStack, nullcontext

    from tasks.scrape.clock import Clock
    from tasks.scrape.museum.server import Museum
    from tasks.scrape.registry import find

    source = find(use)
    query, settings = source.Query.read(block, "query"), Scrape(use=use, limit=1, site="museum")
    with Museum([site]) as museum, ExitStack() as stack:
        web = collect.open_web(
            source, query, settings, home / f"pages-{use}", NOON, Clock(), stack, lambda: nullcontext(museum)
        )
        return [found.key for found in source.discover(query, web, None) if isinstance(found, Item)], len(museum.log)


def _errors(home: Path, quick: bool) -> dict[str, float]:
    """600 pictures of a server of which one answer in twenty fails, half 500, half 429 with Retry-After: 1."""
    with _served(home, 600, 2_000, "--errors", "0.05") as base:
        scrape(home / "errors", base, 600)
        _lost("baren", 600, _kept(home / "errors"), _asked(base))
        _race(home, base, 600, 2_000)
    return {"lost_at_5pct_errors": 600 - _kept(home / "errors")}


def _limit(home: Path, quick: bool) -> dict[str, float]:
    """400 pictures of a server that gives 100 a second and answers 429 with Retry-After: 1 above that."""
    with _served(home, 400, 2_000, "--limit", "100") as base:
        scrape(home / "limit", base, 400)
        asked = _asked(base)
        _lost("baren", 400, _kept(home / "limit"), asked)
        _race(home, base, 400, 2_000)
    return {
        "lost_at_rate_limit": 400 - _kept(home / "limit"),
        "requests_per_picture_at_rate_limit": (asked - 1) / 400,  # robots.txt is no picture
    }


def _kills(home: Path, quick: bool) -> dict[str, float]:
    """Ten times kill -9 at a random moment, then run again: the same set, byte for byte? What was asked for twice?"""
    draw, count = random.Random(7), 300
    tried, equal, twice = 0, 0, [0]
    with _served(home, count, 20_000, "--latency", "0.05") as base:
        _child(home / "whole", base, count).wait()
        whole = _contents(home / "whole")
        for turn in range(10):
            out, before = home / f"killed{turn}", _asked(base)
            child, moment = _child(out, base, count), draw.randint(1, count + count // 10)
            while child.poll() is None and _asked(base) - before < min(moment, count):
                time.sleep(0.01)
            time.sleep(draw.random() / 10 if moment > count else 0)  # while the batch is being closed, that is
            killed = child.poll() is None
            child.send_signal(signal.SIGKILL)
            child.wait()
            _child(out, base, count).wait()
            tried += killed
            equal += killed and _contents(out) == whole
            twice.append(_asked(base) - before - count - 2)  # each run asks for robots.txt once
            shutil.rmtree(out)
    return {"kills_tried": tried, "kills_equal": equal, "asked_twice_after_a_kill": max(twice)}


def _download(home: Path, quick: bool) -> dict[str, float]:
    """2,000 JPEGs of about 131 KiB, 16 in flight: we with hash, header, robots and ledger; the bare loop; the peers."""
    count, ours, bare = 2_000, [], []
    with _served(home, count, 131 * 1024, nginx=True) as base:
        for turn in range(3):
            ours.append(_timed(lambda turn=turn: scrape(home / f"ours{turn}", base, count, f"d{turn}")))
            bare.append(_timed(lambda turn=turn: _bare(home / f"bare{turn}", base, count)))
            assert _kept(home / f"ours{turn}") == count
            shutil.rmtree(home / f"ours{turn}")
            shutil.rmtree(home / f"bare{turn}")
        for name, timed in (("baren", ours), ("the bare loop", bare)):
            _rate(name, count, min(wall for wall, _ in timed), min(cpu for _, cpu in timed))
        served = _folder(home, count, 131 * 1024)
        race(home, base, served, count, lambda name, fared: _rate(name, fared.kept, fared.wall, fared.cpu))
    return {
        "cpu_over_requests": min(cpu for _, cpu in ours) / min(cpu for _, cpu in bare),
        "rate_over_requests": min(wall for wall, _ in bare) / min(wall for wall, _ in ours),
    }


def _rate(name: str, count: int, wall: float, cpu: float) -> None:
    per_picture = 1000 * cpu / max(count, 1)
    print(f"  {name:14}{count:6} kept{count / wall:8.0f} pictures/s {per_picture:8.2f} ms CPU a picture", flush=True)


def _lost(name: str, count: int, kept: int, asked: int) -> None:
    print(f"  {name:14}{count - kept:6} of {count} lost {asked / count:8.2f} requests a picture", flush=True)


def _race(home: Path, base: str, count: int, size: int) -> None:
    """What each peer loses at the faulty server, and how often it asks."""
    before = _asked(base)

    def told(name: str, fared: Fared) -> None:
        nonlocal before
        now = _asked(base)
        _lost(name, count, fared.kept, now - before)
        before = now

    race(home, base, _folder(home, count, size), count, told)


def _memory(home: Path, quick: bool) -> dict[str, float]:
    """The most memory a run of 20,000 pictures takes beyond one of 2,000."""
    peaks: list[float] = []
    for count in (2_000, 20_000):
        with _served(home, count, 4_000) as base:
            child = _child(home / f"memory{count}", base, count)
            told, _ = child.communicate()
            peaks.append(float(told) / 1024)
            assert _kept(home / f"memory{count}") == count
        shutil.rmtree(home / f"memory{count}")
    return {"memory_growth_mb": peaks[1] - peaks[0]}


def _asked(base: str) -> int:
    return int(requests.get(f"{base}/asked", timeout=30).text)


def _bare(folder: Path, base: str, count: int) -> None:
    folder.mkdir()
    with requests.Session() as session, ThreadPoolExecutor(IN_FLIGHT) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=IN_FLIGHT))

        def one(n: int) -> None:
            (folder / f"{n:06}.jpg").write_bytes(session.get(f"{base}/{n:06}.jpg", timeout=30).content)

        list(pool.map(one, range(count)))


def _timed(work: Any) -> tuple[float, float]:
    """Seconds of wall clock and of CPU, ours and our children's."""
    wall, cpu = time.monotonic(), _cpu()
    work()
    return time.monotonic() - wall, _cpu() - cpu


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _child(out: Path, base: str, count: int) -> "subprocess.Popen[bytes]":
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", CHILD, str(out), base, str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


@contextmanager
def _served(home: Path, count: int, size: int, *faults: str, nginx: bool = False) -> Iterator[str]:
    """The address of `count` distinct JPEGs of `size` bytes, served by another process."""
    folder = _folder(home, count, size)
    command, port = [sys.executable, str(Path(__file__).with_name("_picture_server.py")), str(folder), *faults], 0
    if nginx and (found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")):
        command, port = _nginx(found, folder, home)
    elif nginx:
        print("  nginx is not here (Debian: nginx-light); a server of our own, which is slower, takes its place")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = port or int(server.stdout.readline())
        _await(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _folder(home: Path, count: int, size: int) -> Path:
    """Where `count` distinct JPEGs of `size` bytes lie; made once."""
    folder = home / f"served-{count}-{size}"
    if not folder.exists():
        folder.mkdir()
        draw = random.Random(3)
        for n in range(count):
            (folder / f"{n:06}.jpg").write_bytes(jpeg_of(size, draw))
    return folder


def _await(port: int) -> None:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server on port {port} does not answer")


def _nginx(found: str, folder: Path, home: Path) -> tuple[list[str], int]:
    """How nginx is started, and the port it is given."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    conf, user = home / "nginx.conf", "user root; " if os.geteuid() == 0 else ""
    conf.write_text(
        f"{user}daemon off; worker_processes 1; pid {home}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off; keepalive_requests 100000; types { image/jpeg jpg; }\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    return [found, "-e", "/dev/null", "-c", str(conf)], port


def jpeg_of(size: int, draw: random.Random) -> bytes:
    """A small sound JPEG, filled up to `size` bytes with comments that make it unlike any other."""
    file = io.BytesIO()
    colour = (draw.randrange(256), draw.randrange(256), draw.randrange(256))
    Image.new("RGB", (64, 48), colour).save(file, "JPEG")
    start, rest = file.getvalue()[:2], file.getvalue()[2:]
    left, comments = size - len(start) - len(rest), b""
    while left > 8:
        length = min(left - 4, 60_000)
        comments += b"\xff\xfe" + (length + 2).to_bytes(2, "big") + draw.randbytes(length)
        left -= length + 4
    return start + comments + rest


def _kept(out: Path) -> int:
    rows = [row for row in read_scraped(out / "items") if row.outcome == "kept"]
    return len({row.id for row in rows if (out / str(row.file)).exists()})


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
