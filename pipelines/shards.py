"""python -m pipelines shards ...: look after the shards of a picture set by hand, and take them to other tools."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import ShardError
from tasks.progress import Progress

FOLDER = Path("data/3-shards")


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code. Raises BarenError with what a person can mend."""
    chosen = _parser().parse_args(argv)
    progress = Progress()
    progress.listen()
    folder = _folder(chosen.set, new=chosen.command == "import")
    match chosen.command:
        case "verify":
            _verify(folder, progress)
        case "stat":
            _stat(folder, progress)
        case "show":
            _show(folder, chosen.row, chosen.out or Path(f"{chosen.set}-{chosen.row}.png"), progress)
        case "compact":
            _compact(folder, progress)
        case "export":
            _export(folder, chosen.kind, chosen.target, progress)
        case _:
            _import(chosen.source, folder, chosen.held_out, chosen.seed, progress)
    return 0


def _folder(name: str, new: bool) -> Path:
    """Where the set `name` lies, or will; raises ShardError where there is none to look after."""
    known = sorted(path.name for path in FOLDER.glob("[!.]*/"))
    if name not in known and not (new and Path(name).name == name):
        raise ShardError(
            f"{FOLDER} has no set {name!r}; it has: {', '.join(known) or 'none yet (dvc repro makes them)'}"
        )
    return FOLDER / name


def _verify(folder: Path, progress: Progress) -> None:
    from tasks.shard.tend import damage

    found = damage(folder, progress)
    for sentence in found:
        print(sentence)
    if found:
        raise ShardError(f"{folder} is not sound: {len(found)} found, named above")
    print(f"{folder} is sound: every byte is the one that was written")


def _stat(folder: Path, progress: Progress) -> None:
    from tasks.shard.read import ShardSet
    from tasks.shard.tend import described

    with ShardSet(folder, verify="header", progress=progress) as shard_set:
        print("\n".join(described(shard_set)))


def _show(folder: Path, row: int, out: Path, progress: Progress) -> None:
    from PIL import Image

    from tasks.files import no_half_file
    from tasks.rows import as_json
    from tasks.shard.read import ShardSet

    with ShardSet(folder, progress=progress) as shard_set:
        if not 0 <= row < shard_set.num_items:
            raise ShardError(f"{folder} has rows 0 to {shard_set.num_items - 1} and not {row}")
        with no_half_file(out) as temporary:
            Image.fromarray(shard_set.read([row])[0]).save(temporary, "PNG")
        item = as_json(shard_set.items[row])
        dropped = row in shard_set.index.dropped
    for key, value in {**item.pop("origin"), **item}.items():
        if value not in ("", ()):
            print(f"{key}: {value}")
    print(f"{out} shows row {row}" + (", which is dropped: training does not see it" if dropped else ""))


def _compact(folder: Path, progress: Progress) -> None:
    from tasks.shard.compact import compact
    from tasks.shard.layout import read_index

    num_dropped = len(read_index(folder).dropped)
    if not num_dropped:
        print(f"{folder} has nothing to free: no row is dropped")
        return
    index = compact(folder, progress)
    print(
        f"{folder}: {num_dropped:,} dropped rows are gone for good and {index.num_items:,} pictures stay; "
        "let DVC take it over (dvc repro), and dvc gc to free its cache of them"
    )


def _export(folder: Path, kind: str, target: Path, progress: Progress) -> None:
    from tasks.shard.exchange import export_to
    from tasks.shard.read import ShardSet

    with ShardSet(folder, progress=progress) as shard_set:
        count = export_to(shard_set, target, "webdataset" if kind == "webdataset" else "imagefolder", progress)
    print(f"{target} holds {count:,} pictures as {kind}")


def _import(source: Path, folder: Path, held_out: float, seed: int, progress: Progress) -> None:
    from tasks.shard.exchange import import_from
    from tasks.shard.settings import Shard

    settings = Shard.read({"held_out": held_out, "seed": seed}, "shards import", "the command line")
    index = import_from(source, folder, settings, progress)
    print(f"{folder} holds {index.num_items:,} pictures of {index.side} px")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines shards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what)
        added.add_argument("set", metavar="SET", help="a folder of data/3-shards")
        return added

    command("verify", "read every byte and name every damaged file")
    command("stat", "how many pictures, splits, files, sources, licences")
    show = command("show", "one row as a PNG, and where it came from")
    show.add_argument("row", type=int, metavar="ROW", help="counted from 0")
    show.add_argument("out", type=Path, nargs="?", metavar="FILE", help="default: SET-ROW.png")
    command("compact", "free the set of dropped rows; what a takedown needs")
    export = command("export", "write a set for other tools, losslessly")
    export.add_argument("kind", choices=("webdataset", "imagefolder"))
    export.add_argument("target", type=Path, metavar="FOLDER", help="a folder that is not there yet")
    take = command("import", "make a set of square pictures that another tool packed")
    take.add_argument("source", type=Path, metavar="SOURCE", help="an ImageFolder, a .tar, or a folder of .tar files")
    take.add_argument("--held-out", type=float, default=0.1, help="the share of pictures that training never sees")
    take.add_argument("--seed", type=int, default=0, help="chooses which those are")
    return parser
