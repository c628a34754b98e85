"""Pictures a person already has: any directory, .zip, .tar or .parquet, with or without a word on whose they are.

Folders by class (ImageFolder, Kaggle's GANGogh), Hugging Face's Parquet files with labels, and gallery-dl's notes are
understood as they lie there.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

from tasks.errors import ParamsError, PictureRefused
from tasks.scrape.members import Member, members, place, refusal
from tasks.scrape.sidecar import About, Sidecar
from tasks.scrape.source import Item, Mark, Shot, Source, Web
from tasks.scrape.table import Encoding
from tasks.settings import Settings

MANY = 30  # folders and labels named to who asked for one that is not there


class Layout(Settings):
    """How pictures lie, and which of them are wanted."""

    only: tuple[str, ...] = ()  # only pictures in a folder of this name, or with this label or tag: portrait, say
    names: Literal["title", "artist+title"] = "title"  # what files are called after; GANGogh's are artist+title
    metadata: str = ""  # a table with a column `file` and any of: title author date licence page tags group
    encoding: Encoding = "utf-8"  # of that table
    licence: str = "unknown"  # of every picture of which nothing else is said


class FolderQuery(Layout):
    """Where the pictures lie, and how."""

    path: str  # a directory, .zip, .tar (also packed) or .parquet; $NAMES of the environment are filled in


class Folder(Source[FolderQuery]):
    """Any directory, archive or Parquet file of pictures; folders and labels become tags."""

    name = "folder"
    Query = FolderQuery

    def discover(self, query: FolderQuery, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """Every picture that is wanted, in the order of names (of a .tar: in its own order)."""
        return pictures(place(query.path, self.name), query.path, query, web.say)


def pictures(root: Path, shown: str, layout: Layout, say: Callable[[str], None]) -> Iterator[Item]:
    """The pictures in `root`, which people know as `shown`; `say` is told of a table that names none of them."""
    wanted, there = {_plain(word) for word in layout.only}, set[str]()
    sidecar = Sidecar({})
    if layout.metadata:
        sidecar = Sidecar.read(place(layout.metadata, "metadata"), root, layout.encoding)
    for member, about in _described(root, sidecar, layout.metadata, say):
        tags = tuple(dict.fromkeys((*PurePosixPath(member.name).parts[:-1], *about.tags)))
        there.update(tags)
        if not wanted or wanted & {_plain(tag) for tag in tags}:
            yield _item(member, about, tags, f"{shown.rstrip('/')}/{member.name}", layout)
    if wanted and there and not wanted & {_plain(tag) for tag in there}:
        some = ", ".join(sorted(there)[:MANY])
        raise ParamsError(f"{shown} has no pictures called {' or '.join(layout.only)}; it has: {some}; correct `only`")


def _described(root: Path, sidecar: Sidecar, table: str, say: Callable[[str], None]) -> Iterator[tuple[Member, About]]:
    """Each picture and what is known of it; a table that names none is told of, however soon enough were read."""
    first, named = "", False
    try:
        for member in members(root):
            first, named = first or member.name, named or member.name in sidecar.rows
            yield member, sidecar.rows.get(member.name, member.about)
    finally:
        if sidecar.rows and first and not named:
            say(
                f"{table} names none of the pictures that were read (it begins with {next(iter(sidecar.rows))!r}, they "
                f"with {first!r}), so nothing it says is used; correct its column `file`"
            )


def _item(member: Member, about: About, tags: tuple[str, ...], shown: str, layout: Layout) -> Item:
    try:
        data = member.read()
    except PictureRefused as why:
        return Item(key=member.name, page=shown, shots=(Shot(shown),), bytes_of=refusal(why.reason, why.detail))
    artist, title = _named(PurePosixPath(member.name).stem, layout.names)
    return Item(
        key=f"{member.name}@{hashlib.sha256(data).hexdigest()[:12]}",
        page=about.page or shown,
        shots=(Shot(shown),),
        title=about.title or title,
        author=about.author or artist,
        date=about.date,
        licence=about.licence or layout.licence,
        licence_url=about.licence_url,
        tags=tags,
        group=about.group,
        bytes_of=lambda: data,
    )


def _named(stem: str, names: str) -> tuple[str, str]:
    """Artist and title, as far as the file is called after them."""
    if names == "title":
        return "", stem
    artist, plus, title = unquote(stem).replace("-", " ").partition("+")
    return (artist.strip(), title.strip()) if plus else ("", artist.strip())


def _plain(word: str) -> str:
    return word.lower().replace("_", " ").replace("-", " ")
