"""python -m pipelines sources ...: see which sources there are, prove one, try one, begin a new one."""

import argparse
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from pipelines.places import DATA
from tasks.errors import BarenError, ParamsError
from tasks.progress import Progress
from tasks.scrape.settings import Scrape


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code. Raises BarenError with what a person can mend."""
    chosen = _parser().parse_args(argv)
    match chosen.command:
        case "list":
            _list()
        case "check":
            return _check(chosen)
        case "try":
            _try(chosen)
        case "takedown":
            _takedown(chosen.set, chosen.ids)
        case _:
            _new(chosen.name)
    return 0


def _list() -> None:
    from tasks.scrape.museum import WINGS
    from tasks.scrape.registry import known

    for name, kind in known().items():
        print(f"{name:16}{(kind.__doc__ or '').strip().splitlines()[0]}")
        keys = [f"keys: {', '.join(kind.secrets)}"] if kind.secrets else []
        if more := [*keys, *(["also in the museum"] if name in WINGS else [])]:
            print(f"{'':16}({'; '.join(more)})")


def _check(chosen: argparse.Namespace) -> int:
    from tasks.scrape.contract import check

    failed = 0
    with _visit(chosen) as visit:
        for what, broken in check(visit):
            failed += bool(broken)
            print(f"{'FAILS' if broken else 'ok   '} {what}{': ' + broken if broken else ''}")
    print(f"{chosen.name}: {failed} checks fail" if failed else f"{chosen.name} keeps the contract")
    return 1 if failed else 0


def _try(chosen: argparse.Namespace) -> None:
    from tasks.scrape.source import Item

    if chosen.number < 1:
        raise ParamsError(f"-n is {chosen.number}; ask for at least one picture")
    with _visit(chosen) as visit:
        found = (item for item in visit.source.discover(visit.query, visit.web, None) if isinstance(item, Item))
        shown = 0
        for item in islice(found, chosen.number):
            shown += 1
            best = item.shots[0]
            size = f"{best.width} x {best.height}" if best.width else "size unknown"
            print(f"{item.key}\n    {item.title or '(no title)'}, by {item.author or '(unknown)'}; {item.licence}")
            print(f"    {best.url} ({size}, {len(item.shots)} renditions)\n    {item.page}")
    print(f"{shown} shown; nothing was fetched or kept")


@contextmanager
def _visit(chosen: argparse.Namespace) -> Generator[Any]:
    from tasks.scrape.clock import Clock
    from tasks.scrape.collect import open_web, require_means
    from tasks.scrape.contract import Visit
    from tasks.scrape.museum import WINGS
    from tasks.scrape.registry import find

    progress = Progress()
    progress.listen()
    source = find(chosen.name)
    query = source.Query.read(
        _query(chosen.query) if chosen.query else dict(source.example), "query", "the command line"
    )
    site = chosen.site or ("museum" if chosen.name in WINGS else "web")
    settings = Scrape(use=chosen.name, limit=1, site=site, contact=chosen.contact)
    require_means(source, query, settings, "--contact")
    if notice := source.notice(query):
        print(notice)
    with ExitStack() as stack:
        pages = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        web = open_web(source, query, settings, pages, datetime.now(UTC), Clock(progress.check), stack)
        yield Visit(source, query, web)


def _query(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(f"--query {text!r} is no YAML; write it as in --query '{{text: sea}}'") from error


def _takedown(picture_set: str, ids: Sequence[str]) -> None:
    """Out of raw, prepared and shards here; what DVC keeps besides, and what learned from it, is told."""
    from pipelines import stages
    from pipelines.params import Params
    from tasks.scrape.takedown import owing, take_down
    from tasks.shard.compact import compact

    params, progress = Params.load(), Progress()
    progress.listen()
    params.picture_set(picture_set)
    doomed = take_down(DATA / "1-raw" / picture_set, ids)
    debtors = owing(DATA, doomed)
    print(f"{len(doomed)} rows of {picture_set} are taken down; the set will not collect them again")
    shards = DATA / "3-shards" / picture_set
    if shards.exists():
        stages.run("prepare", picture_set, params, progress)
        stages.run("shard", picture_set, params, progress)
        compact(shards, progress)
        print(f"{DATA / '2-prepared' / picture_set} and {shards} hold them no more")
    for folder in debtors:
        kind = "the model measured in" if folder.parent.name == "5-metrics" else "the prints in"
        print(f"{kind} {folder} learned from them; train it again (dvc repro), or remove it")
    print(
        f"DVC still keeps earlier versions, with them in it: dvc commit --force scrape@{picture_set} "
        f"prepare@{picture_set} shard@{picture_set}, then dvc gc --workspace, and dvc gc --workspace --cloud for the "
        "remote, give up all earlier versions"
    )


def _new(name: str) -> None:
    if not name.isidentifier() or name != name.lower():
        raise ParamsError(f"sources new: {name!r} must be a lower-case word, as a file of tasks/scrape is called")
    source, test = Path("tasks/scrape") / f"{name}.py", Path("tests") / f"test_{name}.py"
    for path in (source, test):
        if path.exists():
            raise BarenError(f"sources new: {path} is there already; nothing was written")
    kind = name.title().replace("_", "")
    source.write_text(SOURCE.format(name=name, kind=kind))
    test.write_text(TEST.format(name=name, kind=kind))
    print(f"{source} and {test} are begun; CONTRIBUTING.md walks through the rest")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines sources", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="every registered source")
    check = commands.add_parser("check", help="prove that a source keeps the contract")
    trial = commands.add_parser("try", help="show what a query finds; nothing is fetched")
    trial.add_argument("-n", "--number", type=int, default=5, help="how many (5)")
    for command in (check, trial):
        command.add_argument("name", metavar="NAME", help="a source, or ./my_source.py:MySource")
        command.add_argument("--query", metavar="YAML", help="as in params.yaml: '{text: sea}'; else its own example")
        command.add_argument("--site", choices=["web", "museum"], help="museum where there is a replica, else web")
        command.add_argument("--contact", default="", help="your address or page, told to a real site")
    commands.add_parser("new", help="begin a source and its test").add_argument("name", metavar="NAME")
    takedown = commands.add_parser("takedown", help="remove pictures for good, and say what learned from them")
    takedown.add_argument("set", metavar="SET")
    takedown.add_argument("ids", metavar="ID", nargs="+", help="as in data/1-raw/SET/items")
    return parser


SOURCE = '''"""{kind}: say in one line what this site is."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tasks.scrape.shape import taken_apart
from tasks.scrape.source import Item, Manners, Mark, Shot, Source, Web
from tasks.settings import Settings

API = "https://{name}.example/api/pictures"


class {kind}Query(Settings):
    """What is asked of it; these are the keys under `query` in params.yaml."""

    text: str


class {kind}(Source[{kind}Query]):
    """One line for `sources list`."""

    name = "{name}"
    Query = {kind}Query
    manners = Manners(hosts=("{name}.example",), pause=1.0)
    example: ClassVar[Mapping[str, Any]] = {{"text": "sea"}}

    def discover(self, query: {kind}Query, web: Web, cursor: Mapping[str, Any] | None) -> Iterator[Item | Mark]:
        """The pictures that answer the query; a mark after each page."""
        page: int = cursor["page"] if cursor else 1
        while items := read_page(web.json(web.at(API), q=query.text, page=page)):
            yield from items
            page += 1
            yield Mark({{"page": page}})


@taken_apart("{name}'s answer", "tasks/scrape/{name}.py must follow")
def read_page(answer: Any) -> list[Item]:
    """The pictures of one answer; a required field that is missing is a changed site, never "no results"."""
    return [Item(str(row["id"]), row["page"], (Shot(row["url"]),), row.get("title", "")) for row in answer["rows"]]
'''

TEST = '''"""{kind}: its pages are read, and a changed one is said."""

import pytest

from tasks.errors import ShapeChanged
from tasks.scrape.{name} import read_page


def test_a_page_gives_its_pictures() -> None:
    answer = {{"rows": [{{"id": 1, "page": "https://{name}.example/1", "url": "https://{name}.example/1.jpg"}}]}}
    assert [item.key for item in read_page(answer)] == ["1"]
    assert read_page({{"rows": []}}) == []


def test_a_changed_answer_is_no_empty_one() -> None:
    with pytest.raises(ShapeChanged, match="lacks 'rows'"):
        read_page({{"pictures": []}})
'''
