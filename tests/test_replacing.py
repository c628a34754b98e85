"""A new model replaces the one that paints only if it is not worse; the old one is one command away."""

from pathlib import Path

import pytest
import yaml
from served import Start, artifacts, finish, read, wait_until
from test_versions import checkout, git
from toy import PARAMS, run

from flows.judge import judge
from flows.lock import entries, growth, put
from flows.restore import models_of
from flows.settings import Operations
from pipelines.start import paint_on
from tasks.errors import BarenError, ParamsError

__all__ = ["checkout"]  # fixtures
RECIPE = next(iter(PARAMS["recipes"]))
PHOTOS, PRINTS = (PARAMS["recipes"][RECIPE][side] for side in ("from", "to"))


@pytest.fixture
def toy(checkout: Path) -> Path:
    """A toy under git whose first model is built and is of middling quality."""
    (checkout / "quality").write_text('{"swd": 1.0}')
    done = run("dvc", "repro", cwd=checkout)
    assert done.returncode == 0, done.stderr
    return checkout


def painting_now(toy: Path) -> str:
    return (toy / f"data/4-models/{RECIPE}/losses.csv").read_text()


@pytest.mark.timeout(600)
def test_a_worse_model_is_put_away_a_better_one_paints_and_the_old_one_is_a_command_away(
    server: str, start: Start, toy: Path
) -> None:
    (toy / "web").write_text("3")
    (toy / "quality").write_text('{"swd": 2.0}')
    code, said = finish(start("collect", PHOTOS))  # the set has more than doubled, so the night trains at once
    assert code == 0, said
    assert f"{RECIPE}: the new model is worse (swd 2, was 1), so the old one paints on; the new one is kept-" in said
    assert painting_now(toy) == '{"swd": 1.0}'
    assert artifacts(server, f"contest-{RECIPE}") == [{"measure": "swd", "old": 1, "new": 2, "worse": True}]
    worse = said.split("the new one is ")[1].split(";")[0]
    assert f"put away what you changed (git stash -u), then git checkout {worse} && dvc checkout" in said
    (toy / "ran").unlink()
    code, again = finish(start("collect", PHOTOS))  # dvc.lock tells of the old model, and the set is as it was judged
    assert code == 0, again
    assert f"train {RECIPE}" not in read(toy / "ran")
    assert "paints" not in again
    assert git(toy, "show", f"{worse}:dvc.lock") != (toy / "dvc.lock").read_text()

    params = yaml.safe_load((toy / "params.yaml").read_text())
    params["operations"] = {"begin": "last"}
    (toy / "params.yaml").write_text(yaml.safe_dump(params))
    (toy / "web").write_text("4")
    (toy / "quality").write_text('{"swd": 0.5}')
    assert run("dvc", "repro", "--force", "-s", f"scrape@{PHOTOS}", cwd=toy).returncode == 0
    (toy / "ran").unlink()
    killed = start("train")
    wait_until(lambda: f"train {RECIPE}" in read(toy / "ran"))
    (toy / "slow").write_text(f"evaluate {RECIPE}")
    wait_until(lambda: read(toy / "ran").rstrip().endswith(f"train {RECIPE}\nevaluate {RECIPE}"))
    killed.kill()  # trained, and not judged yet
    assert 'beginning with {"swd": 1.0}' in finish(killed)[1]
    (toy / "slow").unlink()
    code, said = finish(start("train"))
    assert code == 0, said
    assert f"train: {RECIPE}: a new model paints (swd 0.5, was 1)" in said
    assert painting_now(toy) == '{"swd": 0.5}'

    shards = entries(toy)[f"shard@{PHOTOS}"]
    code, said = finish(start("restore", worse, RECIPE))
    assert code == 0, said
    assert painting_now(toy) == '{"swd": 2.0}'
    assert (
        f"restore: {RECIPE} of {worse} paints again; brought up to date: evaluate@{RECIPE}, infer@{RECIPE}, report"
        in said
    )
    assert entries(toy)[f"shard@{PHOTOS}"] == shards


def test_a_training_that_fails_leaves_the_old_model_painting(start: Start, toy: Path) -> None:
    params = yaml.safe_load((toy / "params.yaml").read_text())
    params["recipes"][RECIPE]["train"]["seed"] += 1
    (toy / "params.yaml").write_text(yaml.safe_dump(params))
    (toy / "fail").write_text(f"train {RECIPE}")
    code, said = finish(start("train", RECIPE))
    assert code == 1
    assert f"train: {RECIPE}: not trained, so the model before it paints on; train@{RECIPE} failed" in said
    assert painting_now(toy) == '{"swd": 1.0}'
    (toy / "web").write_text("3")
    assert finish(start("collect", PHOTOS))[0] == 1  # the set has more than doubled, so the night trains at once
    (toy / "ran").unlink()
    code, said = finish(start("collect", PHOTOS))
    assert code == 0, said
    assert f"train {RECIPE}" not in read(toy / "ran")  # what failed waits for the week's run, or for more pictures


@pytest.mark.timeout(600)
def test_a_model_that_a_killed_run_did_not_judge_is_judged_before_another_is_trained(start: Start, toy: Path) -> None:
    params = yaml.safe_load((toy / "params.yaml").read_text())
    params["recipes"][RECIPE]["train"]["seed"] += 1
    (toy / "params.yaml").write_text(yaml.safe_dump(params))
    (toy / "quality").write_text('{"swd": 9.0}')
    (toy / "slow").write_text(f"evaluate {RECIPE}")
    (toy / "ran").unlink()
    killed = start("train")
    wait_until(lambda: read(toy / "ran").rstrip().endswith(f"train {RECIPE}\nevaluate {RECIPE}"))
    killed.kill()
    finish(killed)
    (toy / "slow").unlink()
    assert painting_now(toy) == '{"swd": 9.0}'
    (toy / "web").write_text("3")  # the night after: the model is stale before it was ever judged
    assert run("dvc", "repro", "--force", "-s", f"scrape@{PHOTOS}", cwd=toy).returncode == 0
    (toy / "quality").write_text('{"swd": 8.0}')
    code, said = finish(start("train"))
    assert code == 0, said
    assert f"train: {RECIPE}: the new model is worse (swd 9, was 1), so the old one paints on" in said
    assert f"{RECIPE}: the new model is worse (swd 8, was 1), so the old one paints on" in said
    assert painting_now(toy) == '{"swd": 1.0}'


@pytest.mark.timeout(600)
def test_a_source_that_fails_costs_the_others_no_version_and_no_training(
    start: Start, toy: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert run("dvc", "remote", "add", "--local", "-d", "store", f"{store}", cwd=toy).returncode == 0
    (toy / "fail").write_text(f"scrape {PRINTS}")
    (toy / "web").write_text("3")
    code, said = finish(start("collect"))
    assert code == 1
    assert f"collect: 3 new pictures; brought up to date: prepare@{PHOTOS}, shard@{PHOTOS}, report; {RECIPE}: a" in said
    assert said.rstrip().endswith(f"; scrape@{PRINTS} failed")
    kept = git(toy, "tag")
    assert git(toy, "show", f"{kept}:dvc.lock") == (toy / "dvc.lock").read_text().strip()
    assert (store / "files").exists()

    (toy / f"data/1-raw/{PRINTS}/half").write_text("what a disk that filled at the end of a night leaves")
    params = yaml.safe_load((toy / "params.yaml").read_text())
    params["recipes"][RECIPE]["train"]["seed"] += 1
    (toy / "params.yaml").write_text(yaml.safe_dump(params))
    code, said = finish(start("train"))
    assert code == 1
    assert f"train: {RECIPE}: not trained, its pictures are not up to date; scrape@{PRINTS} failed; not run, " in said
    assert git(toy, "show", f"{kept}:dvc.lock") == (toy / "dvc.lock").read_text().strip()  # nothing read the half


def test_a_version_that_never_was_is_one_sentence(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    with pytest.raises(BarenError, match="'kept-yesterday' is no version of this checkout; none was kept yet"):
        models_of("kept-yesterday", None)
    git(checkout, "-c", "user.name=a", "-c", "user.email=a@b", "tag", "kept-1", "-m", "a tag")
    with pytest.raises(BarenError, match=r"kept-1 has no dvc.lock"):
        models_of("kept-1", None)


def test_a_model_of_other_networks_is_brought_back_with_its_params(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    for width in (8, 16):
        put({f"train@{RECIPE}": {"params": {"params.yaml": {f"recipes.{RECIPE}.networks": {"width": width}}}}})
        git(checkout, "add", "--force", "dvc.lock")
        git(checkout, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", f"{width} wide")
    assert list(models_of("HEAD", [RECIPE])) == [f"train@{RECIPE}"]
    with pytest.raises(BarenError, match=r"\(`git stash -u`\), then `git checkout HEAD~ && dvc checkout` brings back"):
        models_of("HEAD~", [RECIPE])


def test_the_old_model_paints_on_until_the_new_one_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, out = tmp_path / "old", tmp_path / "out"
    (old / "best").mkdir(parents=True)
    (old / "best/weights.safetensors").write_text("old")
    paint_on(out)
    assert not out.exists()  # by hand nobody names one
    monkeypatch.setenv("BAREN_PAINTING", f"{old}")
    paint_on(out)
    assert (out / "best/weights.safetensors").read_text() == "old"
    (out / "best/weights.safetensors").write_text("new")
    paint_on(out)
    assert (out / "best/weights.safetensors").read_text() == "new"


def test_a_model_is_worse_by_more_than_chance_in_any_measure() -> None:
    old = {"swd": 1.0, "palette": 10.0, "answer_match": 0.5}
    new = {"swd": 1.04, "palette": 5.0, "answer_match": 0.4}
    assert [one.worse for one in judge(old, new, ("swd", "palette", "answer_match", "fid"), 0.05)] == [
        False, False, True,
    ]  # fmt: skip
    assert [one.worse for one in judge(old, new, ("swd",), 0.03)] == [True]


def test_growth_is_that_of_the_most_grown_set_since_it_was_learned_from() -> None:
    recorded = {
        "shard@a": {"outs": [{"path": "data/3-shards/a", "size": 130}]},
        "shard@b": {"outs": [{"path": "data/3-shards/b", "size": 90}]},
        "train@r": {"deps": [{"path": "data/3-shards/a", "size": 100}, {"path": "data/3-shards/b", "size": 100}]},
    }
    assert growth("r", recorded) == pytest.approx(0.3)
    assert growth("r", recorded, {"data/3-shards/a": 125}) == pytest.approx(0.04)
    assert growth("r", recorded, {"data/3-shards/a": 90}) == pytest.approx(0.3)
    assert growth("never trained", recorded) == 0


def test_a_measure_that_has_no_better_or_worse_is_one_sentence(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("operations: {judged_by: [ms_ssim]}")
    with pytest.raises(ParamsError, match="'ms_ssim' is no measure a model can be judged by; these are: answer_swd"):
        Operations.load(params)
