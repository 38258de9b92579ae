"""Cards of repositories on a Hub, read with few requests."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import get_session

from hubkit.cards import layout
from hubkit.cards.card import open_card
from hubkit.cards.checking import check_card
from hubkit.errors import UserError

from .folders import furnish, write_parquet

pytestmark = pytest.mark.filterwarnings("ignore:Warnings while validating metadata:UserWarning")

NAMES = {"trainer": "model", "push_to_hub": "dataset", "by_hand": "space"}


@pytest.fixture
def requests(here) -> Iterator[list[str]]:
    """What is asked of the Hub, as METHOD PATH."""
    asked: list[str] = []

    def note(request: httpx2.Request) -> None:
        asked.append(f"{request.method} {request.url.path}")

    hooks = get_session().event_hooks["request"]
    hooks.append(note)
    yield asked
    hooks.remove(note)


@pytest.fixture
def put(here: HfApi, tmp_path: Path):
    def put(tool: str, card: str = "before") -> str:
        repo, kind = f"lab/cards-{tool.replace('_', '-')}-{card}", NAMES[tool]
        options = {"space_sdk": "gradio"} if kind == "space" else {}
        here.create_repo(repo, repo_type=kind, exist_ok=True, **options)
        here.upload_folder(repo_id=repo, repo_type=kind, folder_path=furnish(tool, tmp_path / repo, card))
        return repo

    return put


def test_a_card_on_the_hub_has_the_findings_of_the_folder(put, here, tmp_path):
    for tool, kind in NAMES.items():
        repo = put(tool, "after" if kind == "space" else "before")  # the Hub itself refuses tags that are no list
        far = open_card(repo, api=here)
        near = check_card(open_card(str(tmp_path / repo), name=repo)).findings
        assert far.kind == kind and far.name == repo
        assert check_card(far).findings == near and bool(near) == (kind != "space")


def test_names_of_types_and_revisions(put, here):
    repo = put("push_to_hub", "after")
    commit = here.repo_info(repo, repo_type="dataset").sha
    here.upload_file(path_or_fileobj=b"x", path_in_repo="README.md", repo_id=repo, repo_type="dataset")
    for target in (f"datasets/{repo}@{commit}", f"{repo}@{commit}"):
        assert check_card(open_card(target, api=here)).findings == ()
    assert check_card(open_card(repo, "dataset", api=here)).findings[0].rule == "front-matter-missing"
    with pytest.raises(UserError, match="does not have that revision"):
        open_card(f"{repo}@v9.9.9", api=here)


def test_what_is_not_there_is_said_once(here):
    for kind in (None, "model"):
        with pytest.raises(UserError, match="has no lab/nothing-here, or this token may not see it"):
            open_card("lab/nothing-here", kind, api=here)
    repo = "lab/cards-empty"
    here.create_repo(repo, exist_ok=True)
    here.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=repo)
    if here.file_exists(repo, "README.md"):
        here.delete_file("README.md", repo)
    with pytest.raises(UserError, match=r"has no README\.md"):
        open_card(repo, api=here)


def test_two_requests_for_a_model_and_one_more_for_each_footer(put, here, requests):
    model, dataset = put("trainer"), put("push_to_hub", "after")
    requests.clear()
    check_card(open_card(model, "model", api=here))
    assert requests == [f"GET /api/models/{model}", next(path for path in requests if path.endswith("README.md"))]
    requests.clear()
    check_card(open_card(dataset, "dataset", api=here))
    footers = [path for path in requests if path.startswith("GET /datasets/") and path.endswith(".parquet")]
    assert len(footers) == 3 and len([path for path in requests if "/api/" in path]) == 1


def test_many_footers_are_left_alone_and_that_is_said(put, here, monkeypatch, requests):
    repo = put("push_to_hub", "after")
    monkeypatch.setattr(layout, "MOST_FOOTERS", 2)
    requests.clear()
    report = check_card(open_card(repo, "dataset", api=here))
    assert not any(path.endswith(".parquet") for path in requests)
    assert report.summary.endswith("not checked: rows and columns of 3 Parquet files (more than 2)")


def test_a_file_on_the_hub_is_read_here_and_there(here, tmp_path, requests):
    repo = "lab/cards-ranges"
    data = bytes(range(256)) * 2000
    here.create_repo(repo, repo_type="dataset", exist_ok=True)
    for name, content in {"README.md": b"---\nconfigs: []\n---\n", "a.bin": data}.items():
        here.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=repo, repo_type="dataset")
    requests.clear()
    with open_card(repo, api=here).files.open("a.bin") as stream:
        assert stream.seek(-10, io.SEEK_END) == len(data) - 10
        assert stream.read() == data[-10:]
        stream.seek(1000)
        assert stream.read(600) == data[1000:1600]
        stream.seek(len(data) + 5)
        assert stream.read(1) == b""


def test_a_large_footer_is_read_whole(here, tmp_path):
    repo = "lab/cards-wide"
    write_parquet(tmp_path / "data" / "train.parquet", **{f"column_{i}": range(3) for i in range(800)})
    card = (
        "configs:\n- config_name: default\n  data_files: data/*\ndataset_info:\n  features: [{name: x, dtype: int64}]\n"
    )
    (tmp_path / "README.md").write_text(f"---\n{card}---\n")
    here.create_repo(repo, repo_type="dataset", exist_ok=True)
    here.upload_folder(repo_id=repo, repo_type="dataset", folder_path=tmp_path)
    found = [one for one in check_card(open_card(repo, api=here)).findings if one.rule == "dataset-info-features"]
    assert len(found) == 801
