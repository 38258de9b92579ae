"""Trackers see one run for each of ours, get the recipe, and keep standard output free for data."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hubkit.errors import UserError
from hubkit.training.recipe import Recipe, read_recipe
from hubkit.training.run import make_accelerator
from hubkit.training.tracking import NAME, end_training, start_trackers

BOTH = "training.trackers=[wandb, trackio]"


class Recorder:
    """Stands in for an accelerator, and keeps what the trackers are told."""

    def __init__(self, is_main_process: bool = True, fails: Exception | None = None):
        self.is_main_process, self.fails, self.told, self.trackers = is_main_process, fails, [], []

    def init_trackers(self, project: str, init_kwargs: dict[str, Any]) -> None:
        print("a banner")
        if self.fails:
            raise self.fails
        self.told.append((project, init_kwargs))

    def end_training(self) -> None:
        print("a farewell")


def recipe(folder: Path, *overrides: str) -> Recipe:
    return read_recipe("lorenz-tiny", [f"output={folder}", *(overrides or [BOTH])])


def started(folder: Path, *overrides: str, **options: Any) -> list[Any]:
    accelerator: Any = Recorder(**options)
    start_trackers(accelerator, recipe(folder, *overrides), 20)
    return accelerator.told


def leave_checkpoint(folder: Path, step: int) -> None:
    (folder / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)


def test_a_resumed_run_is_the_same_one_and_a_new_one_another(tmp_path):
    ((project, first),) = started(tmp_path)
    leave_checkpoint(tmp_path, 5)
    ((_, resumed),) = started(tmp_path)
    assert project == "lorenz-tiny-roberta" and resumed == first
    wandb, trackio = first["wandb"], first["trackio"]
    assert wandb["id"] == wandb["name"] == trackio["name"] == (tmp_path / "runs" / NAME).read_text().strip()
    assert wandb["resume"] == trackio["resume"] == "allow"
    ((_, elsewhere),) = started(tmp_path / "elsewhere")
    assert elsewhere["wandb"]["id"] != wandb["id"]
    (tmp_path / "checkpoints" / "step-00000005").rmdir()
    ((_, anew),) = started(tmp_path)
    assert anew["wandb"]["id"] != wandb["id"], "a run that begins at step 0 again would mix with the one before"


def test_they_get_the_recipe_without_what_concerns_this_machine(tmp_path):
    ((_, options),) = started(tmp_path)
    assert options["wandb"]["config"] == options["trackio"]["config"] == recipe(tmp_path).published()
    assert str(tmp_path) not in str(options)


def test_a_run_that_is_done_opens_no_log(tmp_path):
    leave_checkpoint(tmp_path, 20)
    assert started(tmp_path) == []
    assert len(started(tmp_path, BOTH, "further=5")) == 1


def test_tensorboard_alone_needs_no_name(tmp_path):
    assert started(tmp_path, "training.trackers=[tensorboard]") == [("lorenz-tiny-roberta", {})]
    assert started(tmp_path, is_main_process=False) == [("lorenz-tiny-roberta", {})], "only one process writes"
    assert list(tmp_path.iterdir()) == []


def test_what_trackers_print_is_no_data(tmp_path, capsys):
    started(tmp_path)
    end_training(Recorder())  # pyright: ignore[reportArgumentType]
    assert capsys.readouterr() == ("", "a banner\na farewell\n")


def test_a_missing_login_is_told_with_its_mend(tmp_path):
    usage = type("UsageError", (Exception,), {"__module__": "wandb.errors.errors"})
    message = (
        r"^training\.trackers: wandb: No API key\. Use `wandb login`\. Or set WANDB_MODE=offline, or take wandb out"
    )
    with pytest.raises(UserError, match=message):
        started(tmp_path, fails=usage("No API key.\nUse `wandb login`."))
    with pytest.raises(ZeroDivisionError):
        started(tmp_path, fails=ZeroDivisionError())


@pytest.mark.slow
def test_the_real_ones_go_on_where_they_were(tmp_path, monkeypatch, capfd):
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": tmp_path, "TRACKIO_DIR": tmp_path / "trackio"}.items():
        monkeypatch.setenv(name, str(value))  # trackio reads it when it is imported
    for tracker in ("wandb", "trackio"):
        pytest.importorskip(tracker, reason=f"{tracker} is not installed")
    spec = recipe(tmp_path / "run")
    for loss in (2.5, 1.5):
        accelerator = make_accelerator(spec)
        start_trackers(accelerator, spec, 20)
        accelerator.log({"loss/train": loss}, step=1)
        end_training(accelerator)
        leave_checkpoint(tmp_path / "run", int(2 * loss))
        accelerator.state._reset_state(reset_partial_state=True)
    assert capfd.readouterr().out == ""
    name = (tmp_path / "run" / "runs" / NAME).read_text().strip()
    logs = list(tmp_path.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb"))
    assert logs and all(b"loss/train" in log.read_bytes() for log in logs)
    with sqlite3.connect(tmp_path / "trackio" / "lorenz-tiny-roberta.db") as database:
        names = database.execute("select distinct run_name from metrics").fetchall()
    assert names == [(name,)]
