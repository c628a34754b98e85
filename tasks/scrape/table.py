"""Tables as people keep them, row by row: .txt, .csv, .tsv, .json, .jsonl, also packed as .gz, and .parquet."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import AfterValidator

from tasks.errors import ParamsError

Row = Mapping[str, Any]

KINDS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet")
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # how a text begins that says itself that it is in UTF-16
AT_ONCE = 1_000  # rows of a Parquet file in memory
MAX_LINE, MAX_JSON = 10_000_000, 1_000_000_000  # characters; what unpacks to more was made to fill the memory
MAX_RATIO, LARGE = 200, 16_000_000  # times its packed size, and bytes, beyond which a Parquet column was made so too


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ValueError(f"there is no encoding {encoding!r}; say utf-8, cp1252, shift_jis or another") from error
    return encoding


Encoding = Annotated[str, AfterValidator(_known)]  # of a text; UTF-16 that says so itself needs no word


def is_table(path: Path) -> bool:
    """Whether the name is one of a table."""
    return _kind(path) in KINDS


def read_table(path: Path, encoding: str = "utf-8", at_once: int = AT_ONCE) -> Iterator[Row]:
    """The rows of the table, each by the names of its columns; a .txt has the one column `url`, a line a row.

    Raises ParamsError, one sentence, where it cannot be read: another encoding, broken JSON, no Parquet.
    """
    kind = _kind(path)
    if kind == ".parquet":
        yield from _parquet(path, at_once)
        return
    if kind not in KINDS:
        raise ParamsError(f"{path} is no table that can be read; it must be one of {', '.join(KINDS)}, or .gz of one")
    try:
        with _opened(path, encoding) as file:
            match kind:
                case ".txt":
                    yield from ({"url": line.strip()} for line in _lines(file, path) if line.strip() and line[0] != "#")
                case ".csv" | ".tsv":
                    yield from csv.DictReader(_lines(file, path), delimiter="," if kind == ".csv" else "\t")
                case ".jsonl":
                    yield from (_row(json.loads(line), path) for line in _lines(file, path) if line.strip())
                case _:
                    yield from (_row(value, path) for value in _list(json.loads(_limited(file, path)), path))
    except ParamsError:
        raise  # of a row: a ValueError too, and a sentence already
    except UnicodeDecodeError as error:
        raise ParamsError(
            f"{path} is not in {encoding} (the byte 0x{error.object[error.start]:02x} does not fit); "
            "save it as UTF-8, or name its encoding in the query (encoding: cp1252, say)"
        ) from error
    except (ValueError, RecursionError, csv.Error, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ParamsError(f"{path} cannot be read as {kind[1:]} ({error}); mend it, or save it anew") from error
    except OSError as error:
        raise ParamsError(f"{path} cannot be read ({error.strerror or error}); give a file that can") from error


def require_column(row: Row, column: str, path: Path, key: str) -> None:
    """Raise ParamsError, which names the columns there are, unless `row` has `column`; another is said as `key`."""
    if column not in row:
        columns = ", ".join(str(name) for name in row)
        raise ParamsError(f"{path} has no column {column!r}; it has: {columns}; name the right one as {key}")


@dataclass(frozen=True)
class Features:
    """What Hugging Face's `datasets` writes into a Parquet file of its columns."""

    pictures: str  # the column that holds them; "" where none does
    labels: Mapping[str, Sequence[str]]  # the names behind the numbers of each class column
    columns: Sequence[str]  # of all


def features(path: Path) -> Features:
    """The columns of a Parquet file; a column `image` is taken for pictures also where nothing is said of it."""
    schema = _parquet_file(path).schema_arrow
    names = [str(name) for name in schema.names]
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        told = {str(name): feature for name, feature in said.items() if isinstance(feature, Mapping)}
    except (ValueError, KeyError, TypeError, AttributeError):
        told = dict[str, Any]()
    pictures = [name for name, feature in told.items() if feature.get("_type") == "Image" and name in names]
    classes = {name: feature.get("names") for name, feature in told.items() if feature.get("_type") == "ClassLabel"}
    image = ["image"] if "image" in names else []
    return Features(
        pictures=[*pictures, *image, ""][0],
        labels={name: tuple(map(str, listed)) for name, listed in classes.items() if isinstance(listed, list)},
        columns=names,
    )


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return (suffixes[-2:-1] or [""])[0] if suffixes[-1:] == [".gz"] else (suffixes or [""])[-1]


def _opened(path: Path, encoding: str) -> IO[str]:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        start = file.read(2)
    if start in UTF16:
        encoding = "utf-16"
    elif encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # with or without the mark that Windows writes
    return opener(path, "rt", encoding=encoding, newline="")


def _parquet(path: Path, at_once: int) -> Iterator[Row]:
    import pyarrow

    try:
        for batch in _parquet_file(path).iter_batches(batch_size=at_once):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ParamsError(f"{path} is a damaged Parquet file ({_first(error)}); fetch or write it again") from error


def _parquet_file(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ParamsError(f"{path} is no Parquet file ({_first(error)}); fetch or write it again") from error
    told = file.metadata
    for chunk in (told.row_group(n).column(m) for n in range(told.num_row_groups) for m in range(told.num_columns)):
        if chunk.total_uncompressed_size > max(LARGE, MAX_RATIO * chunk.total_compressed_size):
            raise ParamsError(
                f"{path} unpacks {chunk.total_compressed_size:,} bytes to {chunk.total_uncompressed_size:,}, as only a "
                "bomb does; it was not read"
            )
    return file


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise ParamsError(f"{path} has a line of more than {MAX_LINE:,} characters, as no table has; it was left")
        yield line


def _limited(file: IO[str], path: Path) -> str:
    text = file.read(MAX_JSON + 1)
    if len(text) > MAX_JSON:
        raise ParamsError(f"{path} holds more than {MAX_JSON:,} characters; save it as .jsonl, which is read by line")
    return text


def _first(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged"])[0].rstrip(".")


def _list(value: Any, path: Path) -> Sequence[Any]:
    """A JSON document as rows: a list of them, or columns by their names, as pandas writes them."""
    if isinstance(value, list):
        return value  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping) and all(isinstance(column, Mapping) for column in value.values()):
        numbers = list(next(iter(value.values()), {}))
        return [{name: column.get(number) for name, column in value.items()} for number in numbers]
    raise ParamsError(f"{path} holds no list of rows; it must be [{{...}}, {{...}}], or one object a line as .jsonl")


def _row(value: Any, path: Path) -> Row:
    if isinstance(value, str):
        return {"url": value}
    if not isinstance(value, Mapping):
        raise ParamsError(f"{path} has the row {str(value)[:40]!r}; each must be an object with named columns")
    return value  # pyright: ignore[reportUnknownVariableType]
