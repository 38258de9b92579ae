"""Config files of the original, with their comments and commas, become specs."""

import pytest

from hubkit.errors import UserError
from hubkit.sequences.config_files import read_config, read_json

FILE = """\
// A mixture of three.
{
    "total_tokens": "2M",   # two million
    "split": [0.8, 0.1, 0.1,],
    "vocab": {"num_vocab": 300, "prob": {"alpha": 1, "beta": 2.7}},
    "offset": 5, "seed": 7, /* the seed,
                               of everything */
    "shuffle_dataset": true, "shuffle_domain_order": false, "shuffle_domain": true,
    "ratios": {"Identity": 0.5, "sorted": 0.3, "NGram": 0.2},
    "domains": [
        {"domain": "Identity", "length": {"min": 5, "max": 20}, "reverse": true},
        {"type": "SortNumbers", "name": "sorted", "nums": {"min": 0, "max": 99}},
        {"domain": "NGram", "num_vocab": 50, "gram_count": 2,},
    ],
}
"""


def test_a_config_file():
    assert read_config(FILE) == {
        "builder": "seqthetic",
        "tokens": "2M",
        "shares": {"train": 0.8, "validation": 0.1, "test": 0.1},
        "offset": 5,
        "seed": 7,
        "order": "mixed",
        "shuffle_domains": False,
        "domains": [
            {
                "domain": "identity",
                "length": {"min": 5, "max": 20},
                "reverse": True,
                "ratio": 0.5,
                "vocabulary": {"size": 300, "distribution": {"kind": "zipf", "alpha": 1, "beta": 2.7}},
            },
            {"domain": "sort_numbers", "name": "sorted", "nums": {"min": 0, "max": 99}, "ratio": 0.3},
            {
                "domain": "ngram",
                "gram_count": 2,
                "ratio": 0.2,
                "vocabulary": {"size": 50, "distribution": "uniform"},
            },
        ],
    }


def test_domains_by_name_and_ratios_in_order():
    values = read_config('{"domains": {"copies": {"domain": "identity"}, "Delete": "x"}}'.replace('"x"', "{}"))
    assert values is not None
    assert values["domains"] == [{"name": "copies", "domain": "identity"}, {"name": "Delete", "domain": "delete"}]
    values = read_config('{"domains": ["identity", "DiscretizedFBM"], "mixture": [1, 3]}')
    assert values is not None
    assert values["domains"] == [{"domain": "identity", "ratio": 1}, {"domain": "fbm", "ratio": 3}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "// no, # none, /* here */ ,]"}', {"a": "// no, # none, /* here */ ,]"}),
        ('[1, 2, /* 3, */ ]', [1, 2]),
        ('[1 // one\n, 2 # two\n]', [1, 2]),
        ('{"a": "\\"//"}', {"a": '"//'}),
        ('\ufeff{"a": [1,],}', {"a": [1]}),
    ],
)  # fmt: skip
def test_comments_and_commas(text, value):
    assert read_json(text) == value


@pytest.mark.parametrize("text", ["{", "[1,,2]", '{"a": 1, "a": 2}', "[,]x", "'a'"])
def test_what_is_no_json_even_so(text):
    with pytest.raises(ValueError):
        read_json(text)


@pytest.mark.parametrize(
    "text", ["", "builder: lorenz", "[1]", '{"splits": {}}', '{"builder": "seqthetic", "domains": []}', "[" * 100_000]
)
def test_what_is_something_else(text):
    assert read_config(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"domains": ["Rewrite"]}', "domains.0.domain: 'Rewrite' is unknown"),
        ('{"domains": 3}', "domains: 3 is neither"),
        ('{"domains": [3]}', "domains.0: 3 is not a group"),
        ('{"domains": ["identity"], "vocab": {"size": 3}}', "vocab: size is not a field"),
        ('{"domains": ["identity"], "ratios": [1, 2]}', "does not give each of the 1 domains one"),
        ('{"domains": ["identity"], "ratios": {"ngram": 1}}', "ratios: identity has none"),
        ('{"domains": ["identity"], "ratios": {"identity": 1, "ngram": 1}}', "'ngram' is the name of no domain"),
        ('{"domains": ["identity"], "split": 3}', "split: 3"),
        ('{"domains": ["identity"], "tokens": 3, "total_tokens": 4}', "total_tokens: tokens is given too"),
        ('{"domains": ["identity"], "shuffle_domain": "yes"}', "shuffle_domain: 'yes' is neither true nor false"),
    ],
)
def test_what_has_no_meaning_is_refused_by_field(text, message):
    with pytest.raises(UserError, match=message):
        read_config(text)
