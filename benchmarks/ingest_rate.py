"""From a URL to a checked, hashed picture and its 256-pixel square: ours and img2dataset's, each in its own process.

Both fetch the same JPEGs of 1024 x 768 from the same small server, 16 at a time. Ours keeps the original, its SHA-256
and its perceptual hash, and writes the square as raw pixels; img2dataset writes it as JPEG, with its parquet tables.
"""

import http.server
import json
import os
import resource
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from tasks.picture import cut, open_reduced
from tasks.prepare.crop import Box, fit
from tasks.prepare.likeness import perceptual_hash

SIDE, AT_ONCE = 256, 16
PEER = """
import sys
from img2dataset import download
if __name__ == "__main__":
    download(url_list=sys.argv[1], output_folder=sys.argv[2], image_size=256, resize_mode="center_crop",
             processes_count=1, thread_count=16, output_format="files", input_format="txt",
             number_sample_per_shard=250, encode_quality=95, disallowed_header_directives=[])
"""


def figures(num: int) -> dict[str, float | None]:
    """rate_over_img2dataset and cpu_ratio_img2dataset, None where .venv-peers has no img2dataset."""
    peer = next(iter(sorted(Path.cwd().glob(".venv-peers/bin/python"))), None)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with _Server(("127.0.0.1", 0), _handler(_photographs(num))) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            urls = place / "urls.txt"
            urls.write_text("\n".join(f"http://127.0.0.1:{server.server_address[1]}/{n}.jpg" for n in range(num)))
            own = [sys.executable, "-m", "benchmarks.ingest_rate", str(urls), str(place / "ours")]
            ours_s, ours_cpu = _timed(own)
            told: dict[str, float | None] = {"rate": num / ours_s, "cpu_ms": ours_cpu / num * 1e3}
            told |= {"rate_over_img2dataset": None, "cpu_ratio_img2dataset": None}
            if peer is not None:
                theirs_s, theirs_cpu = _timed([str(peer), "-c", PEER, str(urls), str(place / "theirs")])
                written = len(list((place / "theirs").rglob("*.jpg")))
                if written < num:
                    raise SystemExit(f"img2dataset wrote {written} of {num} pictures; nothing can be compared")
                told |= {"rate_over_img2dataset": theirs_s / ours_s, "cpu_ratio_img2dataset": theirs_cpu / ours_cpu}
            server.shutdown()
    return told


def _timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process and its children, its start included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_one_thread())
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}


def _photographs(num: int) -> list[bytes]:
    """`num` distinct JPEGs of 1024 x 768 and about 130 KB, from the photographs of installed packages."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), *load_sample_images().images]
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (768, 1024, 3)).astype(np.float32)
    made: list[bytes] = []
    for number in range(num):
        source = sources[number % len(sources)]
        height, width = source.shape[:2]
        part = int(min(height, width * 0.75) * rng.uniform(0.7, 1.0))
        top, left = rng.integers(0, height - part + 1), rng.integers(0, width - part * 4 // 3 + 1)
        large = cv2.resize(source[top : top + part, left : left + part * 4 // 3], (1024, 768))
        grain = np.roll(noise, int(rng.integers(1024)), 1)
        light = np.clip(large * np.float32(rng.uniform(0.8, 1.1)) + grain, 0, 255).astype(np.uint8)
        made.append(cv2.imencode(".jpg", light[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    return made


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(bodies: list[bytes]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = bodies[int(self.path[1:].partition(".")[0])]
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _ours(urls: Path, out: Path) -> None:
    """Fetch, keep, check, hash and cut every picture that `urls` names."""
    import urllib3

    cv2.setNumThreads(1)
    lines = urls.read_text().split()
    out.mkdir()
    squares = np.memmap(out / "squares", np.uint8, "w+", shape=(len(lines), SIDE, SIDE, 3))
    web = urllib3.PoolManager(maxsize=AT_ONCE)

    def one(number: int) -> dict[str, str | int]:
        answer = web.request("GET", lines[number])
        if answer.status != 200:
            raise SystemExit(f"{lines[number]} answered {answer.status}")
        path = out / f"{number:06}.jpg"
        path.write_bytes(answer.data)
        picture, header = open_reduced(path, SIDE)
        squares[number] = cut(picture, fit(Box(0, 0, picture.shape[1], picture.shape[0]), SIDE))
        return {
            "url": lines[number],
            "sha256": sha256(answer.data).hexdigest(),
            "likeness": perceptual_hash(picture),
            "width": header.width,
            "height": header.height,
        }

    with ThreadPoolExecutor(AT_ONCE) as pool, (out / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in pool.map(one, range(len(lines))))
    squares.flush()


if __name__ == "__main__":
    _ours(Path(sys.argv[1]), Path(sys.argv[2]))
