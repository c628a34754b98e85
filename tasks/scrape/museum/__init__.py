"""The museum: the wire formats of the picture sites on loopback, serving the demonstration's own pictures.

It is the demonstration's web, the tests' web, and the bench on which a new source is proved. A site's host h is
h.museum.test here, and says so in every address it gives.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from tasks.scrape.museum.commons import CommonsSite
from tasks.scrape.museum.flickr import FlickrSite
from tasks.scrape.museum.google import GoogleSite
from tasks.scrape.museum.met import MetSite
from tasks.scrape.museum.openverse import OpenverseSite
from tasks.scrape.museum.server import Museum, Site
from tasks.scrape.museum.ukiyoe import UkiyoeSite
from tasks.scrape.museum.wikiart import WikiArtSite
from tasks.scrape.museum.works import abstracts, photographs, portraits, prints

WINGS: Mapping[str, Callable[[], Site]] = {  # source -> the replica of its site
    "flickr": lambda: FlickrSite(photographs()),
    "ukiyoe": lambda: UkiyoeSite(prints()),
    "wikiart": lambda: WikiArtSite(portraits()),
    "google_images": lambda: GoogleSite(abstracts()),
    "openverse": lambda: OpenverseSite(photographs()),
    "commons": lambda: CommonsSite(photographs()),
    "met": lambda: MetSite(photographs()),
}


@contextmanager
def open_museum() -> Generator[Museum]:
    """The museum with the demonstration's pictures, open as long as the block runs."""
    with Museum([wing() for wing in WINGS.values()]) as museum:
        yield museum
