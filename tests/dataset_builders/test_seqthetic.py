"""Mixtures keep to ratios and budgets, rows stay as they were, and no defect of the original is here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest
from hubkit.corpora.registry import Corpus, find, load
from hubkit.errors import UserError
from hubkit.randomness import stream_key
from hubkit.sequences import DOMAINS

ROOT = Path(__file__).parents[2]
Seqthetic = load("seqthetic")
SeqtheticSpec = Seqthetic.spec_type
SHORT = {"min": 4, "max": 12}
THREE = [
    {"domain": "identity", "ratio": 1, "length": SHORT},
    {"domain": "sort_numbers", "ratio": 2, "length": SHORT},
    {"domain": "ngram", "ratio": 5, "length": {"min": 1, "max": 40}},
]


@pytest.fixture
def prepared(tmp_path):
    """Make a builder that is ready to give rows."""

    def prepared(**values):
        builder = Seqthetic(SeqtheticSpec.build({"builder": "seqthetic", **values}))
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        pieces = [place / "pieces" / piece for piece in builder.pieces()]
        for piece, folder in zip(builder.pieces(), pieces, strict=True):
            folder.mkdir(parents=True)
            builder.prepare(piece, folder)
        builder.prepared = place / "joined"
        builder.prepared.mkdir()
        builder.join(pieces, builder.prepared)
        return builder

    return prepared


def rows(builder, split="train"):
    return [row for block in builder.blocks(split, 0, builder.rows[split]) for row in block.rows.to_pylist()]


def of(rows, name):
    return [row["input_ids"] for row in rows if row["domain"] == name]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_golden(prepared):
    builder = prepared(domains=THREE, tokens="30K", promoter_length=2, end="</s>")
    digest = block_digest(builder.block("train", 0, BLOCK_ROWS).rows).hex()
    assert digest[:16] == "ef29e1019499dad9"


def test_blocks_may_begin_anywhere(prepared):
    builder = prepared(domains=THREE, tokens="60K")
    assert builder.rows["train"] > 2 * BLOCK_ROWS
    whole = rows(builder)
    for start, stop in ((0, 1), (5, 900), (1000, 1100), (BLOCK_ROWS, BLOCK_ROWS + 1), (BLOCK_ROWS + 3, 2 * BLOCK_ROWS)):
        assert builder.block("train", start, stop).rows.to_pylist() == whole[start:stop]


def test_a_larger_budget_and_a_limit_keep_the_rows(prepared):
    small, large = (rows(prepared(domains=THREE, tokens=tokens)) for tokens in ("20K", "50K"))
    assert len(small) < len(large) and large[: len(small)] == small
    assert rows(prepared(domains=THREE, tokens="50K", limit=100)) == large[:100]


def test_another_domain_and_other_ratios_leave_a_domains_sequences_alone(prepared):
    alone = of(rows(prepared(domains=THREE[:1], tokens="20K")), "identity")
    mixed = of(rows(prepared(domains=[{**THREE[0], "ratio": 3}, *THREE[1:], "delete"], tokens="20K")), "identity")
    assert len(mixed) > 20 and alone[: len(mixed)] == mixed


def test_what_is_learnt_is_the_answer_and_the_end(prepared):
    builder = prepared(domains=THREE, tokens="20K", promoter_length=3, begin="<s>", end="</s>")
    ids = builder.spec.ids
    for row in rows(builder):
        tokens, ((start, stop),) = row["input_ids"], [row["loss"]]
        assert tokens[0] == ids.specials["<s>"] and tokens[-1] == ids.specials["</s>"]
        assert tuple(tokens[1:4]) == ids.promoters[row["domain"]]
        assert stop == len(tokens)
        if row["domain"] == "ngram":
            assert start == 4
        else:
            x, y = tokens[4 : start - 1], tokens[start:-1]
            assert tokens[start - 1] == ids.markers["delimiter"]
            assert y == (x if row["domain"] == "identity" else sorted(x))


def test_ids_have_their_own_rooms(prepared):
    spec = prepared(domains=THREE, tokens="20K", delimiters="own", content="own", promoter_length=1, offset=10).spec
    ids = spec.ids
    assert ids.markers == {"identity.delimiter": 10, "sort_numbers.delimiter": 11}
    assert ids.content == {"identity": (138, 500), "sort_numbers": (638, 1000), "ngram": (1638, 500)}
    assert all(74 <= token < 138 for promoter in ids.promoters.values() for token in promoter)
    assert ids.size == 2138
    more = SeqtheticSpec.build(spec.model_dump() | {"domains": [*spec.model_dump()["domains"], "delete"]}).ids
    assert {name: more.content[name] for name in ids.content} == ids.content
    assert {name: more.promoters[name] for name in ids.promoters} == ids.promoters


def test_ids_are_as_wide_as_they_must_be(prepared):
    narrow = prepared(domains=["identity"], tokens="20K")
    wide = prepared(domains=[{"domain": "identity", "vocabulary": 70_000, "length": 9}], tokens="20K")
    assert str(narrow.schema.field("input_ids").type.value_type) == "uint16"
    assert str(wide.schema.field("input_ids").type.value_type) == "uint32"
    assert max(max(row["input_ids"]) for row in rows(wide)) > 2**16


def test_the_card_says_what_rows_are_and_how_to_read_them(prepared):
    one, three = (prepared(domains=domains, tokens="20K").summary for domains in (["identity"], THREE))
    assert "of one kind. A sequence and, after a delimiter, the same again" in one
    assert "one of 3 domains" in three and "identity, sort_numbers and ngram." in three
    for summary in (one, three):
        assert "`loss` names the parts that are to be learnt" in summary


def test_one_domain_after_the_other(prepared):
    mixed = rows(prepared(domains=THREE, tokens="20K"))
    builder = prepared(domains=THREE, tokens="20K", order="by_domain")
    sorted_ = rows(builder)
    names = [domain["domain"] for domain in THREE]
    assert sorted_ == sorted(mixed, key=lambda row: names.index(row["domain"]))
    shuffled = [
        list(dict.fromkeys(row["domain"] for row in rows(prepared(
            domains=THREE, tokens="20K", order="by_domain", shuffle_domains=True, seed=seed
        ))))
        for seed in range(6)
    ]  # fmt: skip
    assert len({tuple(order) for order in shuffled}) > 1
    cut = prepared(domains=THREE, tokens="20K", order="by_domain", limit=40)
    assert rows(cut) == sorted_[:40]
    tokens = sum(facts["tokens"] for facts in cut.facts()["domains"].values())
    assert tokens == sum(len(row["input_ids"]) for split in cut.rows for row in rows(cut, split))


def test_names_are_made_unique():
    spec = SeqtheticSpec.build(
        {"domains": ["identity", "identity", {"domain": "delete", "name": "identity_2"}, "identity"]}
    )
    assert spec.names == ("identity", "identity_3", "identity_2", "identity_4")


def test_facts_count_what_there_is(prepared):
    builder = prepared(domains=THREE, tokens="20K")
    every = [row for split in builder.rows for row in rows(builder, split)]
    for name, facts in builder.facts()["domains"].items():
        assert facts == {"rows": len(of(every, name)), "tokens": sum(map(len, of(every, name)))}


# --- what is wrong with the original ---------------------------------------------------------------------------------


def test_defect_reverse_does_nothing(prepared):
    for row in rows(prepared(domains=[{"domain": "identity", "reverse": True, "length": SHORT}], tokens="20K")):
        x, y = row["input_ids"][: len(row["input_ids"]) // 2], row["input_ids"][len(row["input_ids"]) // 2 + 1 :]
        assert x != y and x == y[::-1]


def test_defect_the_test_split_is_never_written(tmp_path):
    spec = SeqtheticSpec.build({"domains": ["identity"], "tokens": "50K"})
    manifest = build(Corpus(Seqthetic(spec), "seqthetic"), tmp_path / "corpus", workers=1)
    assert list(manifest.splits) == ["train", "validation", "test"]
    budgets = {"train": 40_000, "validation": 5_000, "test": 5_000}
    for split, budget in budgets.items():
        table = pq.read_table(tmp_path / "corpus" / "data" / f"{split}-00000-of-00001.parquet")
        tokens = len(table.column("input_ids").combine_chunks().values)
        assert budget - 201 < tokens <= budget


def test_defect_promoters_are_unseeded_and_can_equal_the_delimiter():
    domains = [{"domain": "identity", "name": f"n{i}"} for i in range(16)]
    fields = {"domains": domains, "promoter_length": 2, "promoter_vocabulary": 4}
    ids = SeqtheticSpec.build(fields).ids
    assert ids == SeqtheticSpec.build(fields).ids != SeqtheticSpec.build({**fields, "seed": 1}).ids
    assert len(set(ids.promoters.values())) == 16
    used = {token for promoter in ids.promoters.values() for token in promoter}
    taken = {*ids.specials.values(), *ids.markers.values()}
    taken |= {token for first, count in ids.content.values() for token in range(first, first + count)}
    assert len(used) == 4 and not used & taken


def test_defect_all_domains_get_the_same_seed(prepared):
    builder = prepared(domains=[{"domain": "identity", "name": name, "length": 9} for name in "ab"], tokens="20K")
    first, second = of(rows(builder), "a"), of(rows(builder), "b")
    assert not {tuple(row) for row in first} & {tuple(row) for row in second}
    assert len({stream_key(0, "seqthetic", "1", split, name) for split in builder.rows for name in "ab"}) == 6


def test_defect_mixture_ratios_are_ignored(prepared):
    builder = prepared(domains=THREE, tokens="100K")
    for split, budget in builder.spec.budgets.items():
        tokens = dict.fromkeys(builder.spec.names, 0)
        for row in rows(builder, split):
            tokens[row["domain"]] += len(row["input_ids"])
        for domain, ratio in zip(("identity", "sort_numbers", "ngram"), (1, 2, 5), strict=True):
            assert abs(tokens[domain] - budget * ratio / 8) <= 40


def test_defect_results_depend_on_the_cpu_count(tmp_path):
    spec = SeqtheticSpec.build({"domains": THREE, "tokens": "120K"})
    corpus = Corpus(Seqthetic(spec), "seqthetic")
    hashes = [
        {
            split: record.rows_sha256
            for split, record in build(
                corpus, tmp_path / str(workers), workers, shard_rows=1024, overlap=False
            ).splits.items()
        }
        for workers in (1, 2)
    ]
    assert hashes[0] == hashes[1]


def test_defect_ngram_crashes(prepared):
    for gram_count in (1, 2, 3):
        domain = {"domain": "ngram", "vocabulary": 20, "gram_count": gram_count}
        assert len(rows(prepared(domains=[domain], tokens="10K"))) > 100


def test_defect_long_sequences_are_cut(prepared):
    builder = prepared(domains=[{"domain": "identity", "length": 2000, "vocabulary": 3000}], tokens={"train": "50K"})
    for row in rows(builder):
        assert len(row["input_ids"]) == 4001 and row["input_ids"][:2000] == row["input_ids"][2001:]


def test_defect_budgets_ignore_doubling(prepared):
    builder = prepared(
        domains=[{"domain": "duplicate", "length": SHORT, "num_duplicate": 3}], tokens="50K", promoter_length=2
    )
    for split, budget in builder.spec.budgets.items():
        total = sum(len(row["input_ids"]) for row in rows(builder, split))
        assert budget - 51 < total <= budget


# --- specs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"domains": []}, "domains"),
        ({"domains": ["identty"]}, "identty"),
        ({"domains": [{"domain": "identity", "ratio": 0}]}, "ratios sum to 0; give at least one"),
        ({"domains": [{"domain": "identity", "name": "a"}] * 2}, "'a' stands twice"),
        ({"domains": [{"domain": "identity", "length": 900}]}, "length: 900 different tokens"),
        ({"tokens": "5 apples"}, "tokens.*write 200K"),
        ({"tokens": 0}, "tokens"),
        ({"tokens": {"train": "1M"}, "shares": {"train": 1}}, "leave shares out"),
        ({"shares": {"train": 0}}, "shares"),
        ({"offset": 2}, "offset: 2 is among"),
        ({"end": "<eos>"}, "end: '<eos>' is not among specials"),
        ({"specials": ["a", "a"]}, "specials"),
        ({"marker_room": 0}, "marker_room: 0 ids are too few"),
        ({"domains": ["identity", "delete"], "promoter_length": 1, "promoter_vocabulary": 1}, "promoter_vocabulary"),
        ({"unheard_of": 1}, "unheard_of is not a field"),
        (
            {"domains": ["identity", {"domain": "duplicate", "hurst": 1}]},
            r"^spec: domains\.1\.hurst is not a field \(known: domain, length, name, num_duplicate, ratio, "
            r"replacement, vocabulary\)$",
        ),
        ({"domains": "nope"}, r"^spec: domains\.0\.domain: 'nope' is unknown \(known: identity, duplicate, "),
        ({"tokens": "5Q"}, r"^spec: tokens: '5Q' is not a size; write 200K, 5M, 1\.5B or a whole number \(got '5Q'\)$"),
        ({"tokens": {"train": "5Q"}}, r"^spec: tokens\.train: '5Q' is not a size; "),
        ({"specials": "<pad>"}, r"^spec: specials: a list is needed, such as \[a, b\] \(got '<pad>'\)$"),
        (
            {"domains": {"domain": "identity", "length": "long"}},
            r"^spec: domains\.0\.length: a whole number is needed, or two of them: .* \(got 'long'\)$",
        ),
        (
            {"domains": {"domain": "identity", "vocabulary": "large"}},
            r"^spec: domains\.0\.vocabulary: a number of tokens is needed, or .* \(got 'large'\)$",
        ),
        (
            {"domains": {"domain": "identity", "vocabulary": {"distribution": "zipff"}}},
            r"^spec: domains\.0\.vocabulary\.distribution\.kind: 'zipff' is unknown \(known: uniform, zipf, counts\)$",
        ),
    ],
)
def test_impossible_specs(values, message):
    with pytest.raises(UserError, match=message):
        SeqtheticSpec.build({"builder": "seqthetic", **values})


def test_a_budget_smaller_than_a_sequence(prepared):
    with pytest.raises(UserError, match=r"tokens: the 50 of train are spent before identity .*raise tokens"):
        prepared(domains=[{"domain": "identity", "length": 30}], tokens={"train": 50})
    with pytest.raises(UserError, match=r"tokens: the 5 of test are .*; raise tokens or shares\.test, or shorten"):
        prepared(domains=[{"domain": "identity", "length": 30}], tokens=1000, shares={"train": 0.995, "test": 0.005})
    with pytest.raises(UserError, match="tokens: the 70 of train are spent before delete has a sequence"):
        prepared(domains=[{"domain": "identity", "length": 30}, "delete"], tokens={"train": 70})


@pytest.mark.parametrize("values", [{}, {"tokens": {"train": "1M"}}, {"domains": list(DOMAINS), "shares": {"a": 1}}])
def test_specs_survive_their_own_json(values):
    spec = SeqtheticSpec.build(values)
    assert SeqtheticSpec.build(spec.model_dump(mode="json")).sha256 == spec.sha256


def test_overrides_of_the_command_line():
    spec = find(
        "seqthetic-mixture", ["tokens=5M", "domains=[identity, {domain: ngram, ratio: 2}]"], limit=3
    ).builder.spec
    assert (spec.tokens, spec.names, spec.limit) == (5_000_000, ("identity", "ngram"), 3)


@pytest.mark.parametrize("config", Seqthetic.configs)
def test_named_configs_have_rows(config, prepared):
    values = Seqthetic.configs[config].model_dump() | {"limit": 5}
    builder = prepared(**values)
    assert {split: len(rows(builder, split)) for split in builder.rows} == {"train": 5, "validation": 5, "test": 5}


def test_config_files_of_the_original():
    values = Seqthetic.read_foreign('{"domains": ["Identity"], "total_tokens": "1M", /* so many */ }')
    assert SeqtheticSpec.build(values) == SeqtheticSpec.build({"domains": ["identity"], "tokens": "1M"})
    with pytest.raises(UserError, match="hurst is not a field"):
        SeqtheticSpec.build(Seqthetic.read_foreign('{"domains": [{"domain": "Identity", "hurst": 0.5}]}'))


def test_the_gallery_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "gallery.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_rows_are_arrays_of_the_schema(prepared):
    builder = prepared(domains=list(DOMAINS), tokens="500K", limit=200)
    batch = builder.block("train", 0, 200).rows
    batch.validate(full=True)
    assert batch.schema.equals(builder.schema)
    ids = np.asarray(batch.column("input_ids").values)
    assert ids.min() >= len(builder.spec.specials) and ids.max() < builder.spec.ids.size
