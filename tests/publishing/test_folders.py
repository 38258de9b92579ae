"""What a folder is, what of it is published, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from hubkit.errors import UserError
from hubkit.publishing.corpus import rows_prefix_sha256
from hubkit.publishing.folders import open_folder
from hubkit.publishing.sources import content_of_bytes, content_of_file

from .folders import make_corpus, make_model, make_space

# Not a token of anybody's; put together here so that no scanner takes this file for a leak.
TOKEN = "hf_" + "aB3" * 12


def paths(folder: Path) -> list[str]:
    return [content.path for content in open_folder(folder).files()]


def test_each_kind_is_found_by_what_it_holds(tmp_path: Path) -> None:
    kinds = {
        open_folder(folder).kind
        for folder in (
            make_corpus(tmp_path / "c", {"train": 5}),
            make_model(tmp_path / "m"),
            make_space(tmp_path / "s", []),
        )
    }
    assert kinds == {"corpus", "model", "space"}


def test_an_unfinished_build_says_how_to_finish_it(corpus: Path) -> None:
    (corpus / "corpus.json").unlink()
    (corpus / ".hubkit-build").mkdir()
    with pytest.raises(UserError, match=r"unfinished build.*run the same `hubkit build` again"):
        open_folder(corpus)


def test_a_folder_of_something_else_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"not a build, a model, a Space or a folder of rows.*corpus\.json.*run\.json.*space\.json"
    ):
        open_folder(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        open_folder(tmp_path / "nothing")


def test_a_corpus_publishes_what_its_manifest_names(corpus: Path) -> None:
    (corpus / ".build").mkdir()
    (corpus / ".build" / "lock").touch()
    (corpus / "notes.txt").write_text("mine")
    source = open_folder(corpus)
    assert [content.path for content in source.files()] == [
        "corpus.json",
        "data/train-00000-of-00003.parquet",
        "data/train-00001-of-00003.parquet",
        "data/train-00002-of-00003.parquet",
        "data/test-00000-of-00001.parquet",
    ]
    assert source.left_out == ["notes.txt (not part of the corpus)"]


@pytest.mark.parametrize("damage", ["missing", "shorter", "other bytes", "one too many"])
def test_a_shard_that_differs_from_the_manifest_is_named(corpus: Path, damage: str) -> None:
    shard = corpus / "data" / "train-00001-of-00003.parquet"
    data = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
    elif damage == "one too many":
        shard = corpus / "data" / "train-00000-of-00002.parquet"
        shard.write_bytes(data)
    else:
        shard.write_bytes(data[:-1] if damage == "shorter" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=shard.name):
        open_folder(corpus).files()


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 2048, 2999])
def test_the_beginning_of_a_long_split_hashes_as_the_short_split_did(corpus: Path, tmp_path: Path, rows: int) -> None:
    manifest = json.loads((corpus / "corpus.json").read_text())
    short = json.loads((make_corpus(tmp_path / "short", {"train": rows}) / "corpus.json").read_text())
    assert rows_prefix_sha256(corpus, manifest, "train", rows) == short["splits"]["train"]["rows_sha256"]


def test_the_prefix_of_other_rows_differs(corpus: Path, tmp_path: Path) -> None:
    other = json.loads((make_corpus(tmp_path / "other", {"train": 10}, seed="b") / "corpus.json").read_text())
    manifest = json.loads((corpus / "corpus.json").read_text())
    assert rows_prefix_sha256(corpus, manifest, "train", 10) != other["splits"]["train"]["rows_sha256"]


def test_a_model_publishes_no_state_of_its_training(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    for name in ("checkpoints/step-20/optimizer.bin", "checkpoint-10/model.safetensors", "optimizer.safetensors",
                 "trainer_state.json", "train.log", "runs/notes.txt", ".cache/x.json", "README.md"):  # fmt: skip
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(b"{}")
    source = open_folder(model)
    assert [content.path for content in source.files()] == [
        "config.json",
        "curve.csv",
        "curve.png",
        "model.safetensors",
        "run.json",
        "runs/events.out.tfevents.1",
        "tokenizer.json",
    ]
    assert "optimizer.safetensors (state of the training)" in source.left_out
    assert "checkpoints/step-20/optimizer.bin (a checkpoint of the training)" in source.left_out
    assert len(source.left_out) == 6


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "training_args.bin", "vectors.npy", "sub/x.pkl", "a.ckpt"]
)
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    model = make_model(tmp_path / "m")
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"x")
    with pytest.raises(UserError, match=rf"{name} can hold pickled code.*safetensors"):
        open_folder(model).files()


def test_sharded_weights_are_weights(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    (model / "model-00002-of-00002.safetensors").write_bytes(b"x")
    (model / "model.safetensors.index.json").write_text("{}")
    assert {"model-00001-of-00002.safetensors", "model.safetensors.index.json"} <= set(paths(model))


@pytest.mark.parametrize("name", ["run.json", "config.json", "model.safetensors"])
def test_a_model_without_something_essential_is_named(tmp_path: Path, name: str) -> None:
    model = make_model(tmp_path / "m")
    (model / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        open_folder(model).files()


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": "x"}'])
def test_a_damaged_lineage_is_named(tmp_path: Path, damage: str) -> None:
    model = make_model(tmp_path / "m")
    (model / "run.json").write_text(damage)
    with pytest.raises(UserError, match=r"run\.json"):
        open_folder(model)


@pytest.mark.parametrize("name", ["requirements.txt", "space.json", "app.py"])
def test_a_space_without_something_essential_is_named(tmp_path: Path, name: str) -> None:
    space = make_space(tmp_path / "s", [])
    (space / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        open_folder(space)


def test_a_space_with_other_pins_is_the_same_app(tmp_path: Path) -> None:
    source = open_folder(make_space(tmp_path / "space", []))
    assert source.change({}, ["space.json"]).why == "what it shows changed"
    assert source.change({}, ["app.py", "space.json"]).why == "the app changed"


def test_a_space_leaves_byte_code_and_hidden_files_at_home(tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [])
    for name in ("__pycache__/app.cpython-311.pyc", ".env", "README.md", "lib/util.py"):
        (space / name).parent.mkdir(exist_ok=True)
        (space / name).write_text("x")
    source = open_folder(space)
    assert [content.path for content in source.files()] == ["app.py", "lib/util.py", "requirements.txt", "space.json"]
    assert source.left_out == [".env (hidden)"]


def test_a_file_that_holds_a_token_is_refused_without_showing_it(tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [])
    (space / "app.py").write_text(f"login('{TOKEN}')")
    with pytest.raises(UserError, match=r"app\.py holds what looks like an access token") as caught:
        open_folder(space).files()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("name", ["token", "run.sh", "conf/settings.ini", "long.txt"])
def test_a_token_is_found_in_any_file_and_anywhere_in_it(tmp_path: Path, name: str) -> None:
    space = make_space(tmp_path / "s", [])
    (space / name).parent.mkdir(exist_ok=True)
    (space / name).write_text("\n" * ((1 << 20) - 9) + TOKEN)  # over the end of the first chunk that is read
    with pytest.raises(UserError, match=f"{name} holds what looks like an access token"):
        open_folder(space).files()


def test_a_long_name_of_a_function_is_no_token(tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [])
    (space / "app.py").write_text("def hf_convert_the_tokenizer_of_a_model_to_the_fast_one(): ...\n")
    assert "app.py" in paths(space)


def test_a_link_out_of_the_folder_is_never_followed(corpus: Path, tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("PRIVATE KEY")
    space, model = make_space(tmp_path / "s", []), make_model(tmp_path / "m")
    for link in (space / "key", model / "notes.txt", corpus / "LICENSE"):
        link.symlink_to(secret)
        with pytest.raises(UserError, match=r"is a link to .*id_rsa, outside the folder"):
            open_folder(link.parent).files()
    (space / "key").unlink()
    (space / "copy.py").symlink_to(space / "app.py")
    (space / "keys").symlink_to(tmp_path)
    source = open_folder(space)
    assert "copy.py" in [content.path for content in source.files()]
    assert source.left_out == ["keys (a link to a folder)"]


def test_a_hidden_folder_is_one_line(tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [])
    (space / ".git" / "objects").mkdir(parents=True)
    for number in range(20):
        (space / ".git" / "objects" / str(number)).write_text("x")
    source = open_folder(space)
    assert len(source.files()) == 3
    assert source.left_out == [".git/ (hidden)"]


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets": None},
        {"datasets": [{"repo": "lab/counting", "revision": None}]},
        {"datasets": [{"repo": "lab/counting", "revision": "main"}]},
        {"datasets": [{"repo": 'x")\nprint(1)', "revision": "c" * 40}]},
        {"init_from": "lab/base"},
        {"init_from": {"repo": "lab/base"}},
        {"init_from": {"path": "base"}},
        {"init_from": {"path": "base", "sha256": "unknown"}},
        {"training": [1]},
        {"environment": "laptop"},
    ],
)
def test_a_lineage_that_pins_nothing_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        open_folder(make_model(tmp_path / "m", **changes))


@pytest.mark.parametrize(
    "changes", [{"models": "lab/m"}, {"models": [{"repo": "lab/m", "revision": "main"}]}, {"title": None}]
)
def test_a_space_that_pins_nothing_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    space = make_space(tmp_path / "s", [])
    (space / "space.json").write_text(json.dumps(json.loads((space / "space.json").read_text()) | changes))
    with pytest.raises(UserError, match=r"space\.json"):
        open_folder(space)


def test_hashes_are_those_of_git_and_lfs(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello\n")
    content = content_of_file("f", tmp_path / "f")
    assert content.git_oid == "ce013625030ba8dba906f756967f9e9ca394464a"  # echo hello | git hash-object --stdin
    assert content.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    made = content_of_bytes("f", b"hello\n")
    assert (made.git_oid, made.sha256, made.size) == (content.git_oid, content.sha256, 6)
