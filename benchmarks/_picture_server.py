"""A picture server that fails on purpose, in a process of its own: FOLDER, and shares, rates and seconds of trouble."""

import argparse
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Serves the files of a folder by name."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is part of the measurement."""


def main() -> None:
    """Print the port, then serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--errors", type=float, default=0.0)
    parser.add_argument("--limit", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    chosen = parser.parse_args()
    draw, lock = random.Random(5), threading.Lock()
    state = {"asked": 0, "tokens": chosen.limit, "at": time.monotonic()}

    def allowed() -> bool:
        now = time.monotonic()
        state["tokens"] = min(chosen.limit, state["tokens"] + (now - state["at"]) * chosen.limit)
        state["at"] = now
        if state["tokens"] < 1:
            return False
        state["tokens"] -= 1
        return True

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/asked":
                return self.send(200, str(int(state["asked"])).encode())
            with lock:
                state["asked"] += 1
                dice = draw.random()
                late = bool(chosen.limit) and not allowed()
            time.sleep(chosen.latency)
            if late or dice < chosen.errors / 2:
                return self.send(429, b"", "1")
            if dice < chosen.errors:
                return self.send(500, b"")
            path = chosen.folder / Path(self.path).name
            return self.send(200, path.read_bytes()) if path.is_file() else self.send(404, b"")

        def send(self, status: int, body: bytes, retry_after: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
