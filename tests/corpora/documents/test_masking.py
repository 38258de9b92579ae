"""What is an address and what is not, and that nothing makes the search slow."""

import time

import pytest

from hubkit.corpora.documents.masking import mask_emails, mask_emails_within


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to guido@python.org.", "Write to <email>."),
        ("a.b+c_d%e-f@sub.domain-x.co.uk!", "<email>!"),
        ("<me@example.com>, mailto:you@example.com;", "<<email>>, mailto:<email>;"),
        ("两个foo@bar.com地址", "两个<email>地址"),
        ("A@B.IO and x@y.museum", "<email> and <email>"),
        ("_x@y.zz", "<email>"),
        ("@property, user@localhost, a@b.c, 3 @ 4.50, @@, a@.com, a@b..com", None),
        ("name at example dot org", None),
        ("x@y.1com", None),
    ],
)
def test_addresses(text, masked):
    assert mask_emails(text)[0] == (text if masked is None else masked)


def test_count_and_own_mask():
    assert mask_emails("a@b.cc, d@e.ff\\1", r"\1|") == (r"\1|, \1|\1", 2)


def test_within_values():
    value = {"a@b.cc": ["\nd@e.ff", 3, None, {"x": 'say "g@h.ii"'}]}
    assert mask_emails_within(value, '"') == {"a@b.cc": ['\n"', 3, None, {"x": 'say """'}]}


@pytest.mark.parametrize("unit", ["a", "a.", "a@", "@a.", "a@a.", "a-", "a@a-", "%", "a@" + "b" * 63 + "."])
def test_time_is_linear(unit):
    text = unit * (1_000_000 // len(unit)) + "@"
    start = time.process_time()
    mask_emails(text)
    assert time.process_time() - start < 5  # takes about 0.1; what backtracks takes for ever
