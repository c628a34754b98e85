"""Report and prints over HTTP on loopback, for the links in Prefect's pages: from a page of the web a browser follows
no link to a file.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

from tasks.files import SCRATCH, write_text

PAGES = "BAREN_PAGES"  # names the address under which somebody else's server gives what lies in SHOWN
OURS = SCRATCH / "pages"  # holds the address of ours as long as it serves
SHOWN = ("data", "prints")


@contextmanager
def pages(port: int) -> Generator[str]:
    """Serve what lies in SHOWN at `port` as long as this lasts, unless BAREN_PAGES says who does; yields the address.

    Empty where the port is taken: links then name files.
    """
    if given := os.environ.get(PAGES):
        yield given
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Files, directory=str(Path.cwd())))
    except OSError:
        yield ""
        return
    Thread(target=server.serve_forever, daemon=True, name="pages").start()
    write_text(OURS, f"http://127.0.0.1:{port}")
    try:
        yield OURS.read_text(encoding="utf-8")
    finally:
        OURS.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()


def link(path: Path) -> str:
    """The address of a file or folder of the checkout: by HTTP where it is served, else as a file."""
    ours = OURS.read_text(encoding="utf-8") if OURS.exists() else ""
    base, here = os.environ.get(PAGES, ours), Path.cwd()
    if base and path.absolute().is_relative_to(here):
        within = path.absolute().relative_to(here)
        if within.parts[0] in SHOWN:
            return f"{base.rstrip('/')}/{quote(within.as_posix())}{'/' if path.is_dir() else ''}"
    return path.absolute().as_uri()


class _Files(SimpleHTTPRequestHandler):
    """Gives what lies in SHOWN, and nothing else of the checkout: keys lie there too."""

    def translate_path(self, path: str) -> str:
        """The file for an address; one that is not there for all that is not to be seen."""
        found = Path(super().translate_path(path))
        within = found.relative_to(self.directory).parts
        return str(found) if within and within[0] in SHOWN else os.devnull + "/"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
