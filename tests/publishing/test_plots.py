"""What the plots of a card show, and that they decide nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.statistics import Statistics
from hubkit.publishing import apply, drawing, plan
from hubkit.publishing.drawing import drawn
from hubkit.publishing.folders import open_folder
from hubkit.publishing.hub import Repository
from hubkit.publishing.plots import ClassPlot, LengthPlot, Plot, label_names, plots_of
from hubkit.publishing.rollback import plan_rollback
from hubkit.publishing.versions import Version

from .folders import make_corpus

PNG = b"\x89PNG\r\n\x1a\n"


def statistics(**columns: Any) -> dict[str, Any]:
    """Return what a manifest says of a split with these columns."""
    rows = pa.record_batch(columns)
    found = Statistics(rows.schema)
    found.add(rows)
    told = {name: column.model_dump(mode="json") for name, column in found.summary().items()}
    return {"statistics": json.loads(json.dumps(told))}


def plot(**splits: dict[str, Any]) -> Plot:
    (only,) = plots_of(splits, {})
    return only


TEXTS = ["x" * (i * 7 % 100) for i in range(300)]
LABELS = ["a", "b", "b"] * 100


def test_a_text_gets_the_histogram_of_its_lengths_over_all_splits() -> None:
    found = plot(train=statistics(text=TEXTS), test=statistics(text=["y" * 120] * 9))
    assert isinstance(found, LengthPlot)
    said = "train 0 to 99, 49.5 on average; test 120 to 120, 120 on average"
    assert found.alt == f"Histogram of text, in characters: {said}"


def test_few_values_get_their_shares() -> None:
    found = plot(train=statistics(rule=LABELS), test=statistics(rule=["a", "c"] * 10))
    assert isinstance(found, ClassPlot)
    assert (found.values, found.splits["test"]) == (["a", "b", "c"], [0.5, 0, 0.5])
    assert found.alt == (
        "Bar chart of the 3 values of rule: in train b is the most frequent (66.7 %), c the least (0 %); "
        "in test a is the most frequent (50 %), b the least (0 %)"
    )


NOTHING = {
    "too many values": {"train": {"n": list(range(300))}},
    "hardly classes": {"train": {"n": [1, 2, 3]}},
    "one value": {"train": {"n": [7] * 300}},
    "many values in another split": {"train": {"n": [1, 2] * 50}, "test": {"n": list(range(300))}},
    "many values in all": {"train": {"n": [*range(15)] * 20}, "test": {"n": [*range(15, 30)] * 20}},
    "lengths alike": {"train": {"text": [str(100 + i) for i in range(300)]}},
    "floats": {"train": {"n": [0.5, 1.5] * 50}},
    "nulls": {"train": {"n": pa.nulls(9, pa.string())}},
}


@pytest.mark.parametrize("why", NOTHING)
def test_what_has_no_shape_to_look_at_is_not_plotted(why: str) -> None:
    assert plots_of({name: statistics(**columns) for name, columns in NOTHING[why].items()}, {}) == []


def test_nothing_is_plotted_of_a_manifest_without_histograms(corpus: Path) -> None:
    facts = open_folder(corpus).card("lab/counting", Version(1, 0, 0), lambda *_: {})
    assert facts.beside == ()
    assert "![" not in facts.body


def test_configs_and_kinds_of_values_are_told_apart() -> None:
    splits = {
        "train": statistics(label=[0, 1] * 50, ok=[True, None] * 50),
        "other/train": statistics(label=["0", "1"] * 50),
    }
    info = [
        {"config_name": "default", "features": [{"name": "label", "dtype": {"class_label": {"names": {"0": "no"}}}}]},
        {"config_name": "other", "features": [{"name": "label", "dtype": "string"}]},
    ]
    found = [found for found in plots_of(splits, label_names(info)) if isinstance(found, ClassPlot)]
    assert [(plot.config, plot.column, plot.values) for plot in found] == [
        ("", "label", ["no", "1"]),
        ("", "ok", ["true", "null"]),
        ("other", "label", ["0", "1"]),
    ]
    assert found[0].alt.endswith("in train all are as frequent")
    assert "2 values of label of other:" in found[2].alt


def test_pictures_have_names_of_their_own_whatever_the_columns_are_called() -> None:
    names = ["a b", "a_b", "a/b", "../../etc", "日本", "$x$ \\frac"]
    pictures = drawn(plots_of({"train": statistics(**dict.fromkeys(names, TEXTS))}, {}))
    assert [picture.path for picture in pictures] == [
        ".card/lengths-a-b.png", ".card/lengths-a-b-2.png", ".card/lengths-a-b-3.png", ".card/lengths-etc.png",
        ".card/lengths.png", ".card/lengths-x-frac.png",
    ]  # fmt: skip
    assert all(isinstance(picture.source, bytes) and picture.source.startswith(PNG) for picture in pictures)


DRAW = """
import json, sys
from hubkit.publishing.drawing import drawn
from hubkit.publishing.plots import plots_of
print(*(picture.sha256 for picture in drawn(plots_of(json.loads(sys.argv[1]), {}))))
"""


def test_the_same_numbers_give_the_same_bytes_whatever_the_settings_are(tmp_path: Path) -> None:
    splits = {"train": statistics(text=TEXTS, rule=LABELS), "test": statistics(text=TEXTS[:50], rule=LABELS[:50])}
    here = drawn(plots_of(splits, {}))
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: red\nfont.size: 30\naxes.titlecolor: blue\n")
    command = [sys.executable, "-W", "error", "-c", DRAW, json.dumps(splits)]
    there = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert there.stdout.split() == [picture.sha256 for picture in here]
    assert there.stderr == ""


@given(st.lists(st.integers(0, 40) | st.integers(0, 1 << 45), min_size=2, max_size=50))
@settings(deadline=None, max_examples=30)
def test_bars_cover_every_length_and_their_areas_are_one(lengths: list[int]) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    from hubkit.corpora.histogram import Histogram

    histogram = Histogram()
    histogram.add(np.array(lengths, np.int64))
    known = {"min": min(lengths), "max": max(lengths), "mean": 0.0, "histogram": histogram.by_start()}
    axes = Figure().add_subplot()
    drawing._lengths(axes, LengthPlot("", "text", "characters", {"train": known}))
    data = axes.patches[0].get_data()  # type: ignore[attr-defined]
    assert float(np.sum(data.values * np.diff(data.edges))) == pytest.approx(1)
    assert len(data.values) <= 60 or max(lengths) > 1 << 30


def test_a_label_is_cut_and_a_sentence_is_no_markup() -> None:
    from hubkit.publishing.cards import alt

    assert drawing._short("a\nb" * 30) == "a ba ba ba ba ba ba ba ba b…"
    assert alt("![a](b)\n<!-- x | `y`") == "!\\[a\\](b) \\<!-- x \\| \\`y\\`"


# --- on a Hub --------------------------------------------------------------------------------------------------------


def with_statistics(folder: Path, rows: int, **columns: Any) -> Path:
    make_corpus(folder, {"train": rows})
    manifest = json.loads((folder / "corpus.json").read_text())
    manifest["splits"]["train"] |= statistics(**columns)
    (folder / "corpus.json").write_text(json.dumps(manifest))
    return folder


def pictures(repo: str, api: HfApi, revision: str = "main") -> dict[str, bytes]:
    there = Repository(api, repo, "dataset")
    return {path: there.read(path, revision) or b"" for path in there.files(revision) if path.startswith(".card/")}


def test_pictures_come_and_go_with_releases_and_decide_no_version(
    tmp_path: Path, repo: str, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = with_statistics(tmp_path / "1", 1000, text=TEXTS, rule=LABELS)
    apply(plan(first, repo, api=api), api)
    released = pictures(repo, api)
    assert set(released) == {".card/lengths-text.png", ".card/values-rule.png"}
    card = (Repository(api, repo, "dataset").read("README.md", "main") or b"").decode()
    assert all(f"]({path})" in card for path in released)
    assert plan(first, repo, api=api).changes == ()
    # Another matplotlib draws otherwise: that is a commit, and no release.
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "_COLORS", ("#000000", *drawing._COLORS[1:]))
        redrawn = plan(first, repo, api=api)
    assert {file.path for file in redrawn.changes} == {*released, "release.json"}
    assert (redrawn.tag, redrawn.version, redrawn.message) == (None, "1.0.0", "Update the card")
    # A release without one of the columns takes its picture away, and a person's file beside it stays.
    api.upload_file(path_or_fileobj=b"mine", path_in_repo=".card/mine.png", repo_id=repo, repo_type="dataset")
    apply(plan(with_statistics(tmp_path / "2", 2000, text=TEXTS), repo, api=api), api)
    assert set(pictures(repo, api)) == {".card/lengths-text.png", ".card/mine.png"}
    apply(plan_rollback(repo, "v1.0.0", api=api), api)
    assert pictures(repo, api) == released | {".card/mine.png": b"mine"}


def test_a_clone_of_somebody_s_rows_is_published_as_the_rows_were(tmp_path: Path, repo: str, api: HfApi) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), folder / "rows.parquet")
    apply(plan(folder, repo, api=api), api)
    assert set(pictures(repo, api)) == {".card/lengths-text.png", ".card/values-label.png"}
    clone = Path(api.snapshot_download(repo, repo_type="dataset", local_dir=tmp_path / "clone"))
    assert (clone / ".card" / "lengths-text.png").is_file()
    assert plan(clone, repo, api=api).changes == ()
    (clone / "README.md").unlink()
    (clone / "corpus.json").unlink()
    assert open_folder(clone).manifest["splits"].keys() == {"train"}
