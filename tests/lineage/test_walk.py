"""Lineages as a Hub shows them: both ways, by commit, and what is the matter with each link."""

import json
import re

import pytest
from huggingface_hub import HfApi

from hubkit.errors import UserError
from hubkit.lineage import trace, tree
from hubkit.lineage.graph import Graph
from hubkit.publishing.versions import Version

from .proxy import Proxy


def found(graph: Graph) -> dict[tuple[str, str, str, str], set[str]]:
    """Return each edge as (from, release, relation, to), names without their owner, with its flags."""
    nodes = graph.nodes
    return {
        (
            _short(nodes[edge.source].name), nodes[edge.source].release or "", edge.relation,
            _short(nodes[edge.target].name),
        ): {flag for flag, _ in graph.flags(edge)}
        for edge in graph.edges
        if nodes[edge.source].kind != "tokenizer"
    }  # fmt: skip


def _short(name: str) -> str:
    return re.sub(r"[\w-]+/|@\w+", "", name)


def flags(graph: Graph, name: str) -> dict[str, str]:
    (node,) = (node for node in graph.nodes.values() if _short(node.name) == name)
    return dict(node.flags())


OF_THE_MODEL = {
    ("letters", "v1.0.0", "trained on", "model"): {"stale"},
    ("letters", "v1.0.0", "trained on", "base"): {"stale"},
    ("letters", "v1.0.0", "evaluated on", "on letters test"): {"stale"},
    ("base", "v1.0.0", "initialised from", "model"): set(),
    ("base", "v1.0.0", "evaluated", "on letters test"): set(),
    ("model", "v1.0.0", "evaluated", "on letters test"): set(),
    ("model", "v1.0.0", "shows", "demo"): set(),
    ("model", "v1.0.0", "based on", "tuned"): {"unpinned"},
    ("tuned", "", "evaluated", "on letters"): set(),
}


def test_a_model_is_walked_both_ways(chain):
    graph = trace(chain.api, chain.name("model"))
    assert found(graph) == OF_THE_MODEL
    root = graph.nodes[graph.root]
    assert (root.kind, root.release, root.newest) == ("model", "v1.0.0", "v1.0.0")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", root.date or "")
    (tokenizer,) = (node for node in graph.nodes.values() if node.kind == "tokenizer")
    assert (tokenizer.name, tokenizer.short) == ("characters:AB", "888888888888")
    assert graph.remarks == [] and graph.cut == set()


def test_a_dataset_knows_its_users_at_whichever_commit(chain):
    graph = trace(chain.api, chain.name("letters"))
    edges = found(graph)
    assert edges["letters", "v1.1.0", "trained on", "newer"] == set()
    assert edges["letters", "v1.1.0", "trained on", "tuned"] == {"unpinned"}
    assert edges["letters", "v1.0.0", "trained on", "model"] == {"stale"}
    assert edges["letters", "v1.0.0", "shows", "demo"] == {"stale"}
    assert edges["model", "v1.0.0", "shows", "demo"] == set()
    assert {node.release for node in graph.nodes.values() if node.kind == "dataset"} == {"v1.0.0", "v1.1.0"}
    name = chain.name("letters")
    assert f"! stale: trained on v1.0.0 of {name}, the newest is v1.1.0" in tree(graph)


def test_at_a_revision_only_what_names_it_counts(chain):
    old, new = (trace(chain.api, chain.name("letters"), revision) for revision in ("v1.0.0", chain.pins["new"]))
    assert {target for *_, target in found(old)} == {"model", "base", "demo", "tuned", "on letters test", "on letters"}
    assert {target for *_, target in found(new)} == {"newer", "tuned", "on letters test", "on letters"}
    assert new.nodes[new.root].release == "v1.1.0"


def test_a_space_leads_back_to_the_data(chain):
    graph = trace(chain.api, chain.name("demo"))
    assert graph.nodes[graph.root].kind == "space"
    assert ("letters", "v1.0.0", "trained on", "base") in found(graph)
    assert found(graph)["letters", "v1.0.0", "shows", "demo"] == {"stale"}


def test_a_foreign_model_is_known_by_its_card_alone(chain):
    graph = trace(chain.api, chain.name("tuned"))
    edges = found(graph)
    assert edges["letters", "v1.1.0", "trained on", "tuned"] == {"unpinned"}
    assert edges["model", "v1.0.0", "based on", "tuned"] == {"unpinned"}
    assert edges["letters", "v1.0.0", "trained on", "model"] == {"stale"}
    assert "has no who/knows, or this token may not see it" in flags(graph, "knows")["unreachable"]
    (evaluation,) = (
        n for n in graph.nodes.values() if n.kind == "evaluation" and n.revision == graph.nodes[graph.root].revision
    )
    assert evaluation.facts == ("fill-mask: accuracy 0.9",)


def test_what_losses_were_noted_on_is_told_apart_from_the_training(lab):
    letters, prose = lab.corpus(), lab.corpus(name="prose")
    lab.model("model", letters, also_evaluate={"prose": prose, "again": letters})
    lab.corpus(48, name="prose")
    edges = found(trace(lab.api, lab.name("model")))
    assert (
        edges["letters", "v1.0.0", "trained on", "model"]
        == edges["letters", "v1.0.0", "evaluated on", "model"]
        == set()
    )
    assert edges["prose", "v1.0.0", "evaluated on", "model"] == {"stale"}
    assert ("prose", "v1.0.0", "trained on", "model") not in edges


def test_the_repository_of_a_tokenizer_knows_its_users(lab):
    bpe = lab.tokenizer("bpe")
    named = {"name": bpe["repo"], "revision": bpe["revision"], "sha256": "8" * 64}
    lab.model("model", lab.corpus(), tokenizer=named)
    lab.foreign("other", {"tags": [f"tokenizer:{bpe['repo']}"]})
    lab.foreign("ids", {"tags": [f"tokenizer:{bpe['repo']}"]}, "dataset")
    lab.foreign("not", {"tags": ["tokenizer"]})
    graph = trace(lab.api, bpe["repo"])
    edges = found(graph)
    assert edges["bpe", "v1.0.0", "tokenised by", "model"] == set()
    for user in ("other", "ids"):
        assert edges["bpe", "v1.0.0", "tokenised by", user] == {"unpinned"}
    assert not any("not" in edge for edge in edges)
    assert f"model {lab.name('model')} v1.0.0" in tree(graph).partition("used by")[2]


def test_json_holds_nodes_edges_and_flags(chain):
    data = json.loads(json.dumps(trace(chain.api, chain.name("model")).to_json()))
    ids = {node["id"] for node in data["nodes"]}
    assert data["root"] in ids and len(ids) == len(data["nodes"])
    assert all({edge["from"], edge["to"]} <= ids for edge in data["edges"])
    assert [edge["relation"] for edge in data["edges"] if "stale" in edge["flags"]].count("trained on") == 2


def test_depth_ends_the_walk_and_says_where(chain):
    graph = trace(chain.api, chain.name("demo"), depth=1)
    assert set(found(graph)) == {
        ("model", "v1.0.0", "shows", "demo"),
        ("letters", "v1.0.0", "shows", "demo"),
        ("model", "v1.0.0", "evaluated", "on letters test"),
        ("letters", "v1.0.0", "evaluated on", "on letters test"),
    }
    assert {graph.nodes[node].kind for node in graph.cut} == {"model"}
    assert "… the walk ends here: --depth goes further" in tree(graph)


def test_what_is_deleted_is_unreachable_and_the_rest_is_told(lab):
    pin = lab.corpus(24)
    lab.model("model", pin)
    lab.api.delete_repo(pin["repo"], repo_type="dataset")
    graph = trace(lab.api, lab.name("model"))
    assert "has no" in flags(graph, "letters")["unreachable"]
    said = tree(graph)
    assert f"├── trained on dataset {pin['repo']} {pin['revision'][:12]}\n" in said and "│     ! unreachable: " in said


def test_a_commit_that_is_gone_is_unreachable(lab):
    pin = lab.corpus(24)
    lab.model("model", pin | {"revision": "0" * 40}, evaluated=False)
    assert "does not have that revision" in flags(trace(lab.api, lab.name("model")), "letters")["unreachable"]


def test_a_commit_between_releases_is_unreleased_and_becomes_stale(lab):
    pin = lab.corpus(24)
    note = lab.api.upload_file(
        path_or_fileobj=b"by hand", path_in_repo="NOTES.md", repo_id=pin["repo"], repo_type="dataset"
    )
    lab.model("model", pin | {"revision": note.oid}, evaluated=False)
    edge = ("letters", "", "trained on", "model")
    assert found(trace(lab.api, lab.name("model")))[edge] == {"unreleased"}
    lab.corpus(48)
    assert found(trace(lab.api, lab.name("model")))[edge] == {"unreleased", "stale"}


def test_private_and_gated_repositories_are_flagged(lab):
    pin = lab.corpus(24)
    lab.model("model", pin)
    lab.api.update_repo_settings(pin["repo"], repo_type="dataset", private=True)
    lab.api.update_repo_settings(lab.name("model"), gated="auto")
    graph = trace(lab.api, lab.name("model"))
    assert (set(flags(graph, "letters")), set(flags(graph, "model"))) == ({"private"}, {"gated"})
    # Without a token the one is not there, and the other shows its card and no more.
    stranger = trace(HfApi(endpoint=lab.api.endpoint, token=False), lab.name("model"))
    assert "unreachable" in flags(stranger, "letters")
    assert set(flags(stranger, "model")) == {"gated"}


def test_a_repository_that_was_renamed_is_found_and_flagged(lab):
    pin = lab.corpus(24)
    lab.model("model", pin)
    new = lab.name("renamed")
    lab.api.move_repo(pin["repo"], new, repo_type="dataset")
    with Proxy(lab.api.endpoint, renamed={pin["repo"]: new}) as proxy:
        graph = trace(HfApi(endpoint=proxy.url, token=lab.api.token), lab.name("model"))
    assert flags(graph, "renamed") == {"moved": f"it was called {pin['repo']}"}
    assert ("renamed", "v1.0.0", "trained on", "model") in found(graph)


def test_a_failure_is_told_of_the_one_that_it_concerns(lab):
    pin, other = lab.corpus(24), lab.corpus(48, "others")
    lab.model("model", pin, other)
    with Proxy(lab.api.endpoint, broken=(f"datasets/{pin['repo']}/", "api/spaces")) as proxy:
        graph = trace(HfApi(endpoint=proxy.url, token=lab.api.token), lab.name("model"))
    assert "failed (HTTP 500)" in flags(graph, "letters")["unreachable"]
    assert flags(graph, "others") == {}
    (remark,) = graph.remarks
    assert remark.startswith(f"the spaces that use {lab.name('model')} are not known: ")


def test_few_questions_are_asked(lab):
    lab.model("model", lab.corpus(24))
    with Proxy(lab.api.endpoint) as proxy:
        trace(HfApi(endpoint=proxy.url, token=lab.api.token), lab.name("model"), kind="model")
    # Of each repository: itself, its tags, its records; of the model also who uses it.
    assert len(proxy.asked) == 4 + 3 + 4
    assert len(set(proxy.asked)) == len(proxy.asked)


def test_circles_end(lab):
    lab.foreign("one", {"base_model": lab.name("two")})
    lab.foreign("two", {"base_model": lab.name("one")})
    graph = trace(lab.api, lab.name("one"), depth=50)
    assert {(edge[0], edge[3]) for edge in found(graph)} == {("one", "two"), ("two", "one")}
    assert graph.cut == set()


def test_what_is_no_metadata_is_passed_over(lab):
    lab.foreign("odd", {"datasets": [3, None, "no-owner", {"a": 1}], "base_model": ["../../etc", "a/b/c"]})
    assert found(trace(lab.api, lab.name("odd"))) == {}


def test_a_name_of_several_types_must_be_told_apart(lab):
    lab.foreign("twice", {"license": "mit"})
    lab.foreign("twice", {"license": "mit"}, kind="dataset")
    with pytest.raises(UserError, match=r"twice is a model and a dataset: say which you mean by --type"):
        trace(lab.api, lab.name("twice"))
    graph = trace(lab.api, lab.name("twice"), kind="dataset")
    assert graph.nodes[graph.root].kind == "dataset"


@pytest.mark.parametrize(
    ("repo", "revision", "message"),
    [
        ("nobody/nothing", None, "has no nobody/nothing, or this token may not see it"),
        ("no-owner", None, "'no-owner' has no owner"),
        ("a b/c", None, "Write OWNER/NAME"),
    ],
)
def test_what_is_not_there_is_one_line(lab, repo, revision, message):
    with pytest.raises(UserError, match=message):
        trace(lab.api, repo, revision)


def test_a_revision_that_is_not_there(chain):
    with pytest.raises(UserError, match="does not have that revision"):
        trace(chain.api, chain.name("letters"), "v9.0.0")


def test_a_hub_that_is_down():
    with pytest.raises(UserError, match=r"can.t reach the Hub at http://127\.0\.0\.1:9"):
        trace(HfApi(endpoint="http://127.0.0.1:9", token=False), "lab/x")


def test_versions_are_compared_as_numbers():
    from hubkit.lineage.graph import newer_exists

    assert newer_exists("v1.9.0", "v1.10.0") and not newer_exists("v1.10.0", "v1.9.0")
    assert not newer_exists("main", "v1.0.0") and not newer_exists(None, "v1.0.0")
    assert Version.of_tag("v1.10.0") is not None
