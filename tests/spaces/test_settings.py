"""What the Space is told to show, and with which worlds it starts."""

import ast
import json
import re
import subprocess
import sys

import pytest

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def settings(demo):
    return demo("settings")


@pytest.fixture(scope="module")
def examples(demo):
    return demo("examples")


def write(folder, content):
    (folder / "space.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


class TestSettings:
    def test_are_read_from_space_json(self, settings, tmp_path):
        pins = {"models": [{"repo": "lab/m", "revision": SHA}], "datasets": [{"repo": "lab/d", "revision": SHA}]}
        write(tmp_path, {"format": 1, "title": "Worlds", **pins})
        read = settings.read_settings(tmp_path, {})
        assert read.title == "Worlds"
        assert [str(pin) for pin in (*read.models, *read.datasets)] == ["lab/m@0123456", "lab/d@0123456"]
        links = [pin.link("http://127.0.0.1:9/") for pin in (*read.models, *read.datasets)]
        assert f'href="http://127.0.0.1:9/lab/m/tree/{SHA}"' in links[0]
        assert f'href="http://127.0.0.1:9/datasets/lab/d/tree/{SHA}"' in links[1]

    def test_the_environment_names_a_folder_or_a_pinned_repository(self, settings, tmp_path):
        folder = settings.read_settings(tmp_path, {"HUBKIT_SPACE_MODEL": str(tmp_path)}).models[0]
        assert (folder.repo, folder.revision) == (str(tmp_path), None)
        assert "local folder" in folder.link("http://h")
        pinned = {"HUBKIT_SPACE_MODEL": "lab/m", "HUBKIT_SPACE_REVISION": SHA}
        assert settings.read_settings(tmp_path, pinned).models == (settings.Pin("lab/m", SHA),)

    @pytest.mark.parametrize(
        ("content", "environment", "message"),
        [
            (None, {}, "knows no model"),
            ({"format": 1, "models": []}, {}, "knows no model"),
            ("{", {}, "not JSON"),
            ([], {}, '"format": 1'),
            ({"format": 2}, {}, '"format": 1'),
            ({"format": 1, "models": "lab/m"}, {}, "models must be a list"),
            ({"format": 1, "models": [{"repo": "lab/m"}]}, {}, "revision of 40 hex digits, not None"),
            ({"format": 1, "models": [{"repo": "lab/m", "revision": "main"}]}, {}, "not 'main'"),
            (None, {"HUBKIT_SPACE_MODEL": "lab/m"}, "HUBKIT_SPACE_REVISION"),
        ],
    )
    def test_say_how_to_mend_them(self, settings, tmp_path, content, environment, message):
        if content is not None:
            write(tmp_path, content)
        with pytest.raises(settings.SettingsError, match=message) as error:
            settings.read_settings(tmp_path, environment)
        assert "Put a file space.json beside app.py" in str(error.value)


class TestExamples:
    def find(self, examples, folder, data=None):
        return examples.find_examples(folder, data, "?", lambda digits: (len(digits) + 1) // 2)

    def test_their_truth_completes_them(self, examples, tmp_path):
        entries = [
            {"label": "one", "text": "[?.5]", "truth": "10"},
            {"label": "two", "text": "[?.?]", "truth": ["1", "2"]},
            {"label": "unknown", "text": "[?]"},
            {"label": "open", "text": "[1]"},
        ]
        (tmp_path / "examples.json").write_text(json.dumps(entries), encoding="utf-8")
        found = self.find(examples, tmp_path)
        assert [example.label for example in found] == ["one", "two", "unknown", "open"]
        assert [example.original for example in found] == ["[10.5]", "[1.2]", "", "[1]"]

    @pytest.mark.parametrize("content", ["{", "[]", '[{"label": "no text"}]', '{"a": 1}'])
    def test_broken_ones_give_way_to_the_built_in_world(self, examples, tmp_path, capsys, content):
        (tmp_path / "examples.json").write_text(content, encoding="utf-8")
        found = self.find(examples, tmp_path)
        assert len(found) == 1
        assert "[?.05" in found[0].text
        assert found[0].original == examples.BUILT_IN
        assert ("examples.json" in capsys.readouterr().err) == (content != "[]")

    def test_are_fetched_from_the_test_split(self, examples, settings, tmp_path, monkeypatch, world):
        import huggingface_hub
        import pyarrow as pa
        import pyarrow.parquet as pq
        from fsspec.implementations.dirfs import DirFileSystem
        from fsspec.implementations.local import LocalFileSystem

        data = tmp_path / "datasets" / f"lab/d@{SHA}" / "data"
        data.mkdir(parents=True)
        pq.write_table(pa.table({"text": ["wrong split"]}), data / "latest-train-00000-of-00001.parquet")
        rows = [world.replace("10.05", f"{number}.05") for number in range(11, 20)]
        pq.write_table(pa.table({"text": rows}), data / "test-00000-of-00001.parquet")
        hub = DirFileSystem(str(tmp_path), LocalFileSystem())
        monkeypatch.setattr(huggingface_hub, "HfFileSystem", lambda: hub)
        found = self.find(examples, tmp_path, settings.Pin("lab/d", SHA, "dataset"))
        assert [example.original for example in found] == rows[:4]
        assert all("[?.05" in example.text for example in found)

    def test_an_unreachable_data_set_is_reported_and_passed_over(
        self, examples, settings, tmp_path, monkeypatch, capsys
    ):
        import huggingface_hub

        def refuse():
            raise OSError("no route")

        monkeypatch.setattr(huggingface_hub, "HfFileSystem", refuse)
        assert len(self.find(examples, tmp_path, settings.Pin("lab/d", SHA, "dataset"))) == 1
        assert "lab/d@0123456: OSError('no route')" in capsys.readouterr().err


class TestPrompts:
    def test_are_read_with_their_truth_if_they_have_one(self, examples, tmp_path):
        entries = [{"label": "a", "prompt": "{A,", "truth": "AA"}, {"label": "b", "prompt": "Once"}]
        (tmp_path / "prompts.json").write_text(json.dumps(entries), encoding="utf-8")
        found = examples.find_prompts(tmp_path)
        assert found == [examples.Prompt("a", "{A,", "AA"), examples.Prompt("b", "Once", "")]

    @pytest.mark.parametrize("content", [None, "{", '[{"label": "no prompt"}]', "[1]"])
    def test_broken_ones_leave_the_page_without(self, examples, tmp_path, capsys, content):
        if content is not None:
            (tmp_path / "prompts.json").write_text(content, encoding="utf-8")
        assert examples.find_prompts(tmp_path) == []
        assert ("No prompts from prompts.json" in capsys.readouterr().err) == (content is not None)


def test_the_space_needs_only_what_it_requires(space_folder):
    folder = space_folder
    required = {re.split(r"[<>=]", line)[0] for line in (folder / "requirements.txt").read_text().split()}
    files = list(folder.rglob("*.py"))
    assert "modeling_minigpt.py" in [file.name for file in files]
    own = {file.stem for file in files} | {"hubkit_models"}
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in getattr(node, "names", [])]
            )
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
                imported |= {str(name).split(".")[0] for name in names}
    assert imported - own - set(sys.stdlib_module_names) <= required
    assert "hubkit" not in imported


def test_a_space_that_cant_start_says_why(space_environment, space_folder, tmp_path):
    process = subprocess.run(
        [sys.executable, str(space_folder / "app.py")],
        cwd=tmp_path,
        env={**space_environment, "HUBKIT_SPACE_MODEL": "lab/absent", "HUBKIT_SPACE_REVISION": SHA},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 1
    assert process.stderr.lstrip().startswith("The model lab/absent@0123456 can't be loaded")
    assert "Traceback" not in process.stderr
