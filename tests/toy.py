"""A toy checkout: our dvc.yaml and a fake door that takes no time, for tests of what is stale and of the flows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
WHOLE: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())


def alone(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    """One recipe and the picture sets it learns from: every stage costs a test a process or two."""
    block = params["recipes"][recipe]
    sets = {name: params["pictures"][name] for name in (block["from"], block["to"])}
    return {**params, "pictures": sets, "recipes": {recipe: block}}


PARAMS = alone(WHOLE, "travelgan")
FOLDERS = {
    "scrape": "1-raw", "prepare": "2-prepared", "shard": "3-shards", "train": "4-models", "evaluate": "5-metrics",
    "infer": "6-prints", "report": "7-report",
}  # fmt: skip
EVALUATED = ["metrics.json", "beside.json", "pictures.png", "MODEL_CARD.md", "CREDITS.csv", "losses.csv"]

# Stands in for the door: one tiny file a stage, the same for the same params. A file "fail" names a stage that fails,
# "flaky" one that asks for another try once, "slow" one that sleeps; a file "ran" tells which were run;
# a file "web" holds how many pictures the web has, "quality" the metrics of the models that are trained.
DOOR = f"""
import json, os, sys, time
from pathlib import Path

step, name = (sys.argv[1:] + [""])[:2]
if step == "check":
    sys.exit(0 if "mistake" not in Path("params.yaml").read_text() else "baren: params.yaml has a mistake; mend it")
title = f"{{step}} {{name}}".strip()
with Path("ran").open("a") as ran:
    ran.write(title + chr(10))
print("working on", title, flush=True)
if Path("slow").exists() and title in Path("slow").read_text():
    time.sleep(600)
if Path("flaky").exists() and title in Path("flaky").read_text():
    Path("flaky").unlink()
    sys.exit(75)
if Path("fail").exists() and title in Path("fail").read_text():
    sys.exit(f"baren: {{title}} cannot work")
folder = Path("data", {FOLDERS!r}[step], name)
folder.mkdir(parents=True, exist_ok=True)
made = {{"shard": ["items/00001.jsonl"], "train": ["losses.csv"], "evaluate": {EVALUATED!r}}}.get(step, ["made"])
text = '{{"swd": 1.5}}'
if step == "shard":
    rows = Path("data/1-raw", name, "items/00001.jsonl")
    text *= 1 + (rows.read_text().count(chr(10)) if rows.exists() else 0)
if step == "train" and Path("quality").exists():
    text = Path("quality").read_text()
if step == "train" and (begin := os.environ.get("BAREN_START")):
    print("beginning with", (Path(begin) / "checkpoint.json").read_text(), flush=True)
if step == "evaluate":
    text = Path("data/4-models", name, "losses.csv").read_text()
for file in made:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
if step == "train":
    (folder / "last").mkdir(exist_ok=True)
    (folder / "last/checkpoint.json").write_text(text)

if step == "scrape" and Path("web").exists():
    items, batches = folder / "items/00001.jsonl", folder / "batches.jsonl"
    items.parent.mkdir(exist_ok=True)
    known = items.read_text().splitlines() if items.exists() else []
    rows = [json.loads(row) for row in known]
    there = range(len(rows), int(Path("web").read_text()))
    batch = max((row["batch"] for row in rows), default=0) + 1
    for number in there:
        row = dict(id=f"sample:{{number}}", batch=batch, query="q", outcome="kept", reason="", group=f"{{number}}")
        known.append(json.dumps({{**row, "origin": {{"source": "sample", "page": "", "url": ""}}}}))
    items.write_text("".join(row + chr(10) for row in known))
    if there:
        with batches.open("a") as file:
            file.write(json.dumps({{"batch": batch, "opened": ""}}) + chr(10))
"""


def make_toy(root: Path, params: dict[str, Any] = PARAMS) -> Path:
    """Fill the folder `root`, which is not under git, with a checkout in which nothing was built yet."""
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", root / ".dvc")
    local = f"[core]\n    no_scm = true\n    site_cache_dir = {root}/.dvc/site\n"
    (root / ".dvc/config.local").write_text(local)
    (root / "curation").mkdir()
    for picture_set in params["pictures"]:
        shutil.copy(ROOT / f"curation/{picture_set}.csv", root / "curation")
    for file in re.findall(r"tasks/[\w/]+\.py", (ROOT / "dvc.yaml").read_text()):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("# steady\n")
    (root / "pipelines").mkdir()
    for recipe in params["recipes"]:
        (root / f"pipelines/{recipe}.py").write_text("# a recipe\n")
    (root / "pipelines/__init__.py").write_text("")
    (root / "pipelines/__main__.py").write_text(DOOR)
    return root


def environment(**more: str) -> dict[str, str]:
    """As a person's shell has it after the set-up: the environment's programs first on PATH, our packages found."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end, with what was said kept."""
    env = env or environment()
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, **kwargs)
