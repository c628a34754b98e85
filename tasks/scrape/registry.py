"""Finding a source by its name: a file of this folder, an entry point of another package, or ./file.py:Class."""

import importlib
import importlib.util
import inspect
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import tasks.scrape
from tasks.errors import ParamsError
from tasks.scrape.source import Source

GROUP = "baren.sources"  # the entry-point group of other packages

Kind = type[Source[Any]]


def known() -> dict[str, Kind]:
    """Every registered source by its name, in the order of names."""
    found: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(tasks.scrape.__path__, "tasks.scrape."):
        for kind in _kinds_in(importlib.import_module(module.name)):
            found[kind.name] = kind
    for point in entry_points(group=GROUP):
        kind = point.load()
        _require_source(kind, f"entry point {point.name!r} of {point.value}")
        found[point.name] = kind
    return dict(sorted(found.items()))


def find(use: str) -> Source[Any]:
    """The source that `use` names; ParamsError lists the known ones where there is none."""
    if ".py" in use:
        return _from_file(use)()
    sources = known()
    if use not in sources:
        raise ParamsError(
            f"there is no source {use!r}; known: {', '.join(sources)}, or a file of your own as ./my_source.py:MySource"
        )
    return sources[use]()


def _from_file(use: str) -> Kind:
    name, _, wanted = use.partition(":")
    path = Path(name)
    if not path.is_file():
        raise ParamsError(f"use: {use}: there is no file {path}; give its path from the project's folder")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kinds = {kind.__name__: kind for kind in _kinds_in(module)}
    if wanted not in kinds:
        raise ParamsError(f"use: {use}: {path} has no source {wanted!r}; it holds: {', '.join(kinds) or 'none'}")
    return kinds[wanted]


def _kinds_in(module: Any) -> list[Kind]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Source) and not inspect.isabstract(kind) and kind.__module__ == module.__name__
    ]


def _require_source(kind: Any, what: str) -> None:
    if not (inspect.isclass(kind) and issubclass(kind, Source)):
        raise ParamsError(f"{what} is no source; it must be a subclass of tasks.scrape.source.Source")
