"""python -m pipelines paint: what the command line names, and what is said before any work."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines import paint
from pipelines.stages import kept_seeds
from tasks.errors import BarenError, ParamsError
from tasks.files import write_json


def named(*words: str) -> list[str]:
    return [photo[1].name for word in words for photo in paint._photos(Path(word))]


def test_pictures_folders_and_lists_name_photographs(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.png", "b/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path / 'a.jpg'}\n\n{tmp_path / 'b'}\n")
    assert named(str(tmp_path / "a.jpg"), str(tmp_path / "b")) == ["a.jpg", "c.png", "d.jpg"]
    assert named(str(tmp_path / "list.txt")) == ["a.jpg", "c.png", "d.jpg"]


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BarenError, match="is not there"):
        named(str(tmp_path / "none.jpg"))
    with pytest.raises(BarenError, match="holds no picture"):
        named(str(tmp_path))


def test_prints_never_go_into_a_stage_s_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match="belongs to the stages"):
        paint.main(["a.jpg", "--recipe", "travelgan", "--out", "data/6-prints/mine"])


def test_of_a_population_the_kept_seeds_paint_the_chosen_one_first(tmp_path: Path) -> None:
    keys = ("seed", "kept", "best", "chosen")
    rows = [(0, True, 3.0, False), (1, False, None, False), (2, True, None, False), (3, True, 2.0, True)]
    rows = [dict(zip(keys, row, strict=True)) for row in rows]
    write_json(tmp_path / "population.json", rows)
    assert kept_seeds(tmp_path) == ["seed-3", "seed-0"]
    assert kept_seeds(tmp_path / "of one seed") == []


def test_an_unknown_format_ends_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        paint.main(["a.jpg", "--recipe", "travelgan", "--format", "webp"])
    assert "png, tif, jpg, dzi" in capsys.readouterr().err


def test_a_wish_of_the_command_line_goes_before_params() -> None:
    chosen = paint._parser().parse_args(["a.jpg", "--recipe", "r", "--print", "12x15in", "--paint-ppi", "75"])
    assert paint._wishes(chosen) == {"size": "12x15in", "paint_ppi": 75.0}
