"""The DAG of dvc.yaml: nothing runs twice, and a changed number makes stale what reads it and what follows, no more."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy import PARAMS, WHOLE, alone, make_toy, run

# Asks DVC, in one process, what each change of params.yaml makes stale; and what follows what.
ASK = """
import json, sys
from pathlib import Path
import networkx
from dvc.repo import Repo

graph = Repo().index.graph
follows = {s.addressing: sorted(t.addressing for t in networkx.ancestors(graph, s)) for s in graph}
answers = {}
for name, text in json.load(sys.stdin).items():
    Path("params.yaml").write_text(text)
    answers[name] = sorted(Repo().status())
print(json.dumps({"follows": follows, "stale": answers}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without git, in which a fake door has built everything once."""
    root = make_toy(tmp_path_factory.mktemp("built"), PARAMS)
    done = run("dvc", "repro", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def test_a_second_repro_runs_nothing(built: Path) -> None:
    ran = (built / "ran").read_text()
    assert len(ran.splitlines()) == 3 * len(PARAMS["pictures"]) + 3 * len(PARAMS["recipes"]) + 1
    again = run("dvc", "repro", cwd=built)
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stdout
    assert (built / "ran").read_text() == ran


@pytest.mark.parametrize("recipe", WHOLE["recipes"])
def test_each_changed_key_makes_stale_the_stages_that_read_it_and_no_other(recipe: str, tmp_path: Path) -> None:
    params = alone(WHOLE, recipe)
    root = make_toy(tmp_path, params)
    assert run("dvc", "repro", cwd=root).returncode == 0
    changes = {".".join(path): yaml.safe_dump(changed(params, path)) for path in leaves(params)}
    assert changes
    answer = run(sys.executable, "-W", "ignore", "-c", ASK, cwd=root, input=json.dumps(changes))
    assert answer.returncode == 0, answer.stderr
    asked = json.loads(answer.stdout.splitlines()[-1])
    for key, stale in asked["stale"].items():
        assert set(stale) == readers(key.split(".")), f"{key} makes stale {stale}"
    for picture_set in params["pictures"]:
        assert {f"prepare@{picture_set}", f"shard@{picture_set}", "report"} <= set(
            asked["follows"][f"scrape@{picture_set}"]
        )
    assert set(asked["follows"][f"train@{recipe}"]) == {f"evaluate@{recipe}", f"infer@{recipe}", "report"}
    for side in ("from", "to"):
        assert f"train@{recipe}" in asked["follows"][f"shard@{params['recipes'][recipe][side]}"]
    assert asked["follows"]["report"] == []


def test_a_changed_print_size_costs_no_training(copy: Path) -> None:
    recipe = next(iter(PARAMS["recipes"]))
    path = next(path for path in leaves(PARAMS) if path[:3] == ("recipes", recipe, "infer"))
    (copy / "params.yaml").write_text(yaml.safe_dump(changed(PARAMS, path)))
    (copy / "ran").unlink()
    assert run("dvc", "repro", cwd=copy).returncode == 0
    ran = (copy / "ran").read_text().splitlines()
    assert ran[0] == f"infer {recipe}"
    assert set(ran) <= {f"infer {recipe}", "report"}


def test_a_judgement_of_curation_makes_preparing_stale(copy: Path) -> None:
    picture_set = next(iter(PARAMS["pictures"]))
    with (copy / f"curation/{picture_set}.csv").open("a") as file:
        file.write("sample:1,reject,blurred\n")
    assert stale(copy) == {f"prepare@{picture_set}"}


def test_code_that_decides_makes_its_step_stale_and_nothing_that_asks_the_web(copy: Path) -> None:
    (copy / "tasks/prepare/borders.py").write_text("# finds more\n")
    assert stale(copy) == {f"prepare@{name}" for name in PARAMS["pictures"]}
    for name in ("picture", "samples"):
        before = (copy / f"tasks/{name}.py").read_text()
        (copy / f"tasks/{name}.py").write_text("# decodes otherwise\n")
        assert stale(copy) == {f"{step}@{name}" for step in ("prepare", "shard") for name in PARAMS["pictures"]}
        (copy / f"tasks/{name}.py").write_text(before)


@pytest.mark.parametrize("file", ["tasks/train/watch.py", "tasks/measures/memory.py", "tasks/measures/slices.py"])
def test_code_that_chooses_the_best_moment_makes_training_stale(copy: Path, file: str) -> None:
    (copy / file).write_text("# sees otherwise\n")
    assert stale(copy) == {f"train@{name}" for name in PARAMS["recipes"]}


def test_bytecode_and_half_written_files_make_nothing_stale(copy: Path) -> None:
    for folder in (copy / "data/1-raw", copy / "data/3-shards" / next(iter(PARAMS["pictures"]))):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__/x.pyc").write_text("bytecode")
        (folder / ".items.jsonl.123.part").write_text("half")
    assert stale(copy) == set()


def stale(root: Path) -> set[str]:
    return set(json.loads(run("dvc", "status", "--json", cwd=root).stdout))


def readers(key: list[str]) -> set[str]:
    """The stages that read a key of params.yaml: the rule, written a second time and independent of dvc.yaml."""
    match key:
        case ["pictures", picture_set, step, *_]:
            return {f"{step}@{picture_set}"}
        case ["recipes", recipe, "networks" | "train", *_]:
            return {f"train@{recipe}"}
        case ["recipes", recipe, "evaluate" | "infer" as step, *_]:
            return {f"{step}@{recipe}"}
        case ["recipes", recipe, "from" | "to"]:
            return {f"{step}@{recipe}" for step in ("train", "evaluate", "infer")}
        case ["report", *_]:
            return {"report"}
        case ["operations", *_]:
            return set()
        case _:
            raise AssertionError(f"no stage reads {'.'.join(key)}")


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def changed(params: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The same params with another value at `path`."""
    whole = json.loads(json.dumps(params))
    block = whole
    for key in path[:-1]:
        block = block[key]
    value = block[path[-1]]
    if path[0] == "recipes" and path[2] in ("from", "to"):
        value = next(name for name in WHOLE["pictures"] if name != value)
    elif isinstance(value, bool):
        value = not value
    elif isinstance(value, int | float):
        value += 1
    elif isinstance(value, str):
        value += "-changed"
    elif isinstance(value, list):
        value = [*value, 1]
    else:
        value = {"changed": 1}
    block[path[-1]] = value
    return whole
