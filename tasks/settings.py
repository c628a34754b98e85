"""Settings that are checked once, on load: what the blocks of params.yaml are made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import ParamsError


class Settings(BaseModel):
    """A block of params.yaml: typed, frozen, and without room for a key nobody reads.

    Lists of YAML become tuples; a text is never taken for a number. Numbers are finite, unless a field says that it
    may be infinite: a bound that is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def read(cls, block: Any, where: str, place: str = "params.yaml") -> Self:
        """The checked block; `where` it stands in the file, or other place, such as "pictures.photos.shard".

        Raises ParamsError, one sentence that names the key, the value and what is allowed.
        """
        if not isinstance(block, Mapping):
            raise ParamsError(f"{place}: {where} is {block!r}; it must be a block of keys: {', '.join(cls.keys())}")
        try:
            return cls.model_validate(_tuples(block))
        except ValidationError as error:
            raise ParamsError(f"{place}: {_sentence(error, where, cls.keys())}") from error

    @classmethod
    def keys(cls) -> list[str]:
        """The names of the block's keys, as written in the file."""
        return [field.alias or name for name, field in cls.model_fields.items()]


def read_yaml(path: Path) -> Any:
    """What a file of settings says, unchecked. Raises ParamsError where it is missing, unreadable or no YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is not here; run this from the project's root, or restore the file") from error
    except OSError as error:
        raise ParamsError(f"{path} cannot be read ({error.strerror}); see to that, or restore the file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of another encoding, of a day that never was
        told = " ".join(str(error).split())
        raise ParamsError(f"{path} is no YAML in UTF-8: {told}; correct it there") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value


def _sentence(error: ValidationError, where: str, keys: list[str]) -> str:
    first = error.errors()[0]
    place = ".".join([where, *(str(part) for part in first["loc"])])
    match first["type"]:
        case "extra_forbidden":
            known = f"; known there: {', '.join(keys)}" if len(first["loc"]) == 1 else ""
            return f"{place} is no setting{known}; correct or remove the key"
        case "missing":
            return f"{place} is missing; add it"
        case "value_error":
            return f"{place}: {first['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{place} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
