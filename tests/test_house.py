"""The rules of the house that a machine can check."""

import ast
import configparser
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("flows", "pipelines", "tasks", "benchmarks")
MODULES = sorted(path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py"))
OURS = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "tests"]
ATTICS = {"utils", "util", "common", "helpers", "helper", "misc", "core"}
PARAMS = [ROOT / f"params{which}.yaml" for which in ("", ".full", ".sanity", ".own")]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_an_attic() -> None:
    assert OURS
    assert [name(path) for path in MODULES if {path.stem, path.parent.name} & ATTICS] == []


def test_no_file_is_over_four_hundred_lines() -> None:
    assert [name(path) for path in MODULES if len(path.read_text().splitlines()) > 400] == []


def test_every_module_opens_with_one_to_three_plain_lines() -> None:
    def opens_well(path: Path) -> bool:
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
        return 1 <= len(first.splitlines()) <= 3

    assert [name(path) for path in MODULES if not opens_well(path)] == []


def test_tests_lie_flat() -> None:
    assert [name(path) for path in MODULES if path.is_relative_to(ROOT / "tests") and path.parent.name != "tests"] == []


def test_nothing_unpickles() -> None:
    loads = re.compile(
        r"\b(import|from) (joblib|dill|cloudpickle)\b|\bimport pickle\b|\bpickle\.loads?\b"
        r"|weights_only\s*=\s*False|torch\.load\((?!.*weights_only=True)"
    )
    found = [f"{name(path)}: {line.strip()}" for path in OURS for line in path.read_text().splitlines()]
    assert [line for line in found if loads.search(line.split(": ", 1)[1])] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    places = re.compile("|".join(f"/{place}/" for place in ("work", "root", "home/[a-z]+")))
    texts = [*MODULES, *ROOT.glob("*.md"), *ROOT.glob("*.yaml"), *ROOT.glob("*.toml"), ROOT / "Makefile"]
    assert [name(path) for path in texts if places.search(path.read_text())] == []


def test_the_lock_names_no_host_and_every_package_has_its_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", lock, re.MULTILINE)
    entries = re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_continuous_check_is_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert "make test" in script.read_text()


def test_systemd_starts_the_schedules_again_however_long_it_fails() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.read(ROOT / "flows/baren.service")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert "StartLimitBurst" not in unit["Unit"]
    assert unit["Service"]["Restart"] == "on-failure"


def test_every_make_command_of_the_documents_is_a_target() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    if not documents[0].exists():
        pytest.skip("there is no README.md yet")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {
        command
        for path in documents
        if path.exists()
        for command in re.findall(r"(?:^ *|`)make ([a-z]+)", path.read_text(), re.MULTILINE)
    }
    assert {"run", "test"} <= asked <= targets


def test_every_file_of_ours_that_a_stage_depends_on_is_there() -> None:
    named = re.findall(r"^ +- ((?:tasks|pipelines)/\S+\.py)", (ROOT / "dvc.yaml").read_text(), re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if "$" not in name and not (ROOT / name).exists()] == []


def test_every_picture_set_has_its_curation_and_every_recipe_its_file() -> None:
    for path in PARAMS:
        if not path.exists():
            continue
        params = yaml.safe_load(path.read_text())
        for picture_set in params["pictures"]:
            curation = ROOT / f"curation/{picture_set}.csv"
            assert curation.exists(), f"{path.name} names {picture_set}, and {name(curation)} is not there"
            assert curation.read_text().splitlines()[0] == "id,verdict,reason"
        for recipe, block in params["recipes"].items():
            assert {block["from"], block["to"]} <= set(params["pictures"])
            assert (ROOT / f"pipelines/{recipe}.py").exists(), f"{path.name} names {recipe}, which has no file"


def test_what_a_recipe_imports_of_training_is_what_its_stage_depends_on() -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["do"]["deps"]
    for recipe in yaml.safe_load(PARAMS[0].read_text())["recipes"]:
        code = ast.walk(ast.parse((ROOT / f"pipelines/{recipe}.py").read_text()))
        modules = {node.module for node in code if isinstance(node, ast.ImportFrom) and node.module}
        taken = {f"{module.replace('.', '/')}.py" for module in modules if module.startswith("tasks.train.")}
        assert taken - {"tasks/train/settings.py"} <= set(deps), recipe  # settings count by what params.yaml says


def test_both_sizes_of_params_have_the_same_keys() -> None:
    small, full, *_ = PARAMS
    demonstration, articles = (yaml.safe_load(path.read_text()) for path in (small, full))
    assert demonstration.keys() == articles.keys()
    for recipe, block in articles["recipes"].items():  # one that is added need not have a full size
        assert set(keys(block)) == set(keys(demonstration["recipes"][recipe])), f"recipes.{recipe}"
    both = demonstration["pictures"].keys() & articles["pictures"].keys()
    assert both
    for picture_set in both:
        block = demonstration["pictures"][picture_set]
        assert block.keys() == {"scrape", "prepare", "shard"}
        of_both = [
            {**each, "scrape": {**each["scrape"], "query": None}} for each in (block, articles["pictures"][picture_set])
        ]
        one, other = (set(keys(each)) for each in of_both)  # a query has the keys of its source
        assert one == other, f"pictures.{picture_set}"
    assert set(keys(demonstration["report"])) == set(keys(articles["report"]))


def keys(block: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of a block's settings."""
    for key, value in block.items():
        if isinstance(value, Mapping) and value:
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
