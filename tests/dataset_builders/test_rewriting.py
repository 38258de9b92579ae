"""Rewriting: every kind of rule against a slow definition of it, splits that share no input, and files of pairs."""

import json
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.hashing import block_digest, rows_sha256
from hubkit.errors import UserError
from hubkit.randomness import item_seed
from hubkit.resources import load_module, resource

rewriting = load_module(resource("dataset_builders", "rewriting.py"), "hubkit.dataset_builders.rewriting")
Rewriting, RewritingSpec, CONFIGS = rewriting.Rewriting, rewriting.RewritingSpec, rewriting.CONFIGS

SPLITS = ("train", "validation", "test")


def built(**fields):
    return Rewriting(RewritingSpec.build(fields))


def rows(builder, split, start=0, stop=200):
    return builder.block(split, start, stop).rows.to_pylist()


# --- what the rules are, slowly --------------------------------------------------------------------------------------


def slow_pass(productions, text):
    for pattern, replacement in productions:
        if text.startswith(pattern):
            output, steps = slow_pass(productions, text[len(pattern) :])
            return replacement + output, steps + 1
    if not text:
        return "", 0
    output, steps = slow_pass(productions, text[1:])
    return text[0] + output, steps


def slow_markov(productions, text, step_limit, space_limit):
    """Return output and steps, or None where a limit cuts the run off."""
    for steps in range(step_limit + 1):
        fitting = [production for production in productions if production[0] in text]
        if not fitting:
            return text, steps
        pattern, replacement, terminal = fitting[0]
        text = text.replace(pattern, replacement, 1)
        if steps == step_limit or len(text) > space_limit:
            return None
        if terminal:
            return text, steps + 1
    return None


def slow_turing(table, text, step_limit, space_limit, blank="_"):
    """Return output and steps, or None where a limit cuts the run off."""
    tape = dict(enumerate(text)) or {0: blank}
    head, state, steps = 0, "p", 0
    while (state, tape[head]) in table:
        write, move, state = table[state, tape[head]]
        tape[head] = write
        head += {"L": -1, "N": 0, "R": 1}[move]
        tape.setdefault(head, blank)
        steps += 1
        if steps > step_limit or len(tape) > space_limit:
            return None
    return "".join(tape[place] for place in sorted(tape)).strip(blank), steps


def alone(builder, row):
    """Return input, output and steps of one run, with None and None where it was cut off."""
    ins, outs, steps, cut, _ = builder._draw("train", row, row + 1, 1)
    text = rewriting._texts(*ins)[0].as_py()
    return (text, None, None) if cut else (text, rewriting._texts(*outs)[0].as_py(), int(steps[0]))


LIMITS = {"step_limit": 20, "space_limit": 12, "least_halting": 0, "min_length": 0, "max_length": 8, "markers": "x"}
STRINGS = st.text("ABx", max_size=3)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(STRINGS, STRINGS, st.booleans()), min_size=1, max_size=5), st.integers(0, 2**62))
def test_markov_algorithms(productions, seed):
    live = []
    for production in [*productions, ("x", "x", True)]:
        if not any(earlier[0] in production[0] for earlier in live):
            live.append(production)
    written = [dict(zip(("pattern", "replacement", "terminal"), production, strict=True)) for production in live]
    markers = LIMITS["markers"] if any("x" in pattern + replacement for pattern, replacement, _ in live) else ""
    builder = built(rule={"markov": written}, seed=seed, **LIMITS | {"markers": markers})
    for row in range(12):
        text, *made = alone(builder, row)
        assert tuple(made) == (slow_markov(live, text, 20, 12) or (None, None))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.text("AB", min_size=1, max_size=3), st.text("AB", max_size=4)), min_size=1, max_size=5))
def test_single_passes(productions):
    live = []
    for production in productions:
        if not any(production[0].startswith(earlier[0]) for earlier in live):
            live.append(production)
    builder = built(rule={"markov": live, "single_pass": True}, min_length=0)
    for row in rows(builder, "train", 0, 40):
        assert (row["output"], row["steps"]) == slow_pass(live, row["input"])


STATES = ("p", "q", "r")
ACTIONS = st.tuples(st.sampled_from("ABx_"), st.sampled_from("LNR"), st.sampled_from((*STATES, "done")))


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.tuples(st.sampled_from(STATES), st.sampled_from("ABx_")), ACTIONS), st.integers(0, 2**62))
def test_turing_machines(table, seed):
    table = {(state, "x"): ("x", "N", "done") for state in STATES} | table
    lines = [[*reads, *does] for reads, does in table.items()]
    builder = built(rule={"turing": {"start": "p", "halt": ["done"], "table": lines}}, seed=seed, **LIMITS)
    for row in range(12):
        text, *made = alone(builder, row)
        assert tuple(made) == (slow_turing(table, text, 20, 12) or (None, None))


# --- named rules and configs -----------------------------------------------------------------------------------------

MEANINGS = {
    "rewriting-copy": lambda text: (text, 0),
    "rewriting-double-a": lambda text: (text.replace("A", "AA"), text.count("A")),
    "rewriting-tiny": lambda text: (text.replace("A", "AA"), text.count("A")),
    "rewriting-sort": lambda text: (
        "".join(sorted(text)),
        sum(text[i] > text[j] for j in range(len(text)) for i in range(j)),
    ),
    "rewriting-binary-to-unary": lambda text: ("|" * int(text, 2), None),
    "rewriting-increment": lambda text: (f"{int(text, 2) + 1:0{len(text)}b}", None),
}


@pytest.mark.parametrize("config", CONFIGS)
def test_named_configs_mean_what_they_say(config):
    builder = Rewriting(CONFIGS[config])
    for split in SPLITS:
        least, most = CONFIGS[config].lengths(split)
        for row in rows(builder, split):
            output, steps = MEANINGS[config](row["input"])
            assert row["output"] == output
            assert steps is None or row["steps"] == steps
            assert row["text"] == f"{{{row['input']},{row['output']}}}"
            assert least <= len(row["input"]) <= most


GOLDEN = {
    "rewriting-copy": "94c08367e430dbaa",
    "rewriting-double-a": "40c5d942fa5bb624",
    "rewriting-tiny": "cf4f12acf225c28d",
    "rewriting-sort": "c26114518b876077",
    "rewriting-binary-to-unary": "a50ed1ad0cd4a9cd",
    "rewriting-increment": "e7d6654cea24578f",
}


@pytest.mark.parametrize("config", CONFIGS)
def test_the_first_rows_are_these(config):
    builder = Rewriting(CONFIGS[config])
    digests = [block_digest(builder.block(split, 0, 1000).rows) for split in SPLITS]
    assert rows_sha256(digests)[:16] == GOLDEN[config]


def test_the_first_rows_written_out():
    assert [row["text"] for row in rows(Rewriting(CONFIGS["rewriting-double-a"]), "train", 0, 3)] == [
        "{A,AA}",
        "{ABBAAA,AABBAAAAAA}",
        "{AABAAB,AAAABAAAAB}",
    ]


@pytest.mark.parametrize("config", CONFIGS)
def test_rows_do_not_depend_on_blocks(config):
    builder = Rewriting(CONFIGS[config])
    whole = builder.block("train", 0, 1024)
    parts = [builder.block("train", start, stop) for start, stop in ((0, 1), (1, 300), (300, 1023), (1023, 1024))]
    assert pa.Table.from_batches([part.rows for part in parts]).equals(pa.Table.from_batches([whole.rows]))
    assert sum(part.rejected for part in parts) == whole.rejected
    assert Rewriting(CONFIGS[config]).block("train", 300, 1023).rows.equals(parts[2].rows), "nor on rows made before"


def test_more_rows_leave_the_old_ones_as_they_were():
    few, many = built(train=5, test=0), built(train=10**9, validation=0)
    assert few.block("train", 0, 5).rows.equals(many.block("train", 0, 5).rows)
    assert dict(few.rows) == {"train": 5, "validation": 1000}
    assert dict(many.rows) == {"train": 10**9, "test": 1000}


def test_lengths_and_symbols_are_uniform():
    inputs = [row["input"] for row in rows(built(max_length=20, min_length=11, alphabet="ABC"), "train", 0, 20_000)]
    lengths = Counter(map(len, inputs))
    assert set(lengths) == set(range(11, 21))
    assert all(abs(count - 2000) < 5 * 2000**0.5 for count in lengths.values())
    symbols = Counter("".join(inputs))
    third = sum(symbols.values()) / 3
    assert all(abs(count - third) < 5 * third**0.5 for count in symbols.values())


def test_any_symbols():
    builder = built(alphabet="aéж語😀", max_length=12, rule={"markov": ["éa -> aé", "😀 -> 語語"]})
    for row in rows(builder, "train"):
        assert set(row["input"]) <= set("aéж語😀")
        assert row["output"].count("語") == row["input"].count("語") + 2 * row["input"].count("😀")
    assert builder.tokenizer == "characters:aéж語😀"


# --- whose input it is -----------------------------------------------------------------------------------------------


def slow_owner(builder, text):
    """Return the split that an input belongs to under shares of 80, 10 and 10."""
    data, key = text.encode(), builder.stream("whose input")
    for begin in range(0, len(data) + 1, 16):
        chunk = int.from_bytes(data[begin : begin + 16], "little")
        key = item_seed(key, chunk & (1 << 64) - 1, chunk >> 64)
    tenth = (key >> 64) * 10 >> 64
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**63 - 1),
    st.sampled_from(["AB", "01", "abcdefgh", "éж語A"]),
    st.integers(1, 8),
    st.integers(0, 20),
    st.integers(5, 12),
)
def test_splits_share_no_input(seed, alphabet, least, more, test_least):
    builder = built(
        seed=seed, alphabet=alphabet, min_length=least, max_length=least + more + 8,
        test_min_length=test_least, test_max_length=test_least + 20,
    )  # fmt: skip
    for split in SPLITS:
        assert {slow_owner(builder, row["input"]) for row in rows(builder, split, 0, 60)} == {split}


def test_inputs_belong_to_splits_as_the_shares_say():
    builder = built(max_length=12)
    owners = Counter(slow_owner(builder, f"{number:b}".replace("1", "A").replace("0", "B")) for number in range(20_000))
    assert all(abs(owners[split] / 20_000 - share) < 0.01 for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True))


def test_every_input_of_a_split_is_drawn():
    builder = built(max_length=4)
    drawn = {split: {row["input"] for row in rows(builder, split, 0, 3000)} for split in SPLITS}
    assert sum(map(len, drawn.values())) == 2 + 4 + 8 + 16
    assert all(slow_owner(builder, text) == split for split in SPLITS for text in drawn[split])


def test_shares_of_one_split_alone():
    builder = built(validation=0, test=0, shares={"train": 1, "validation": 0, "test": 0}, max_length=4)
    assert len({row["input"] for row in rows(builder, "train", 0, 3000)}) == 30


def test_a_rejected_draw_is_drawn_again_and_counted():
    # On BB… it runs for ever; everything else it leaves alone.
    rule = {"turing": {"start": "p", "table": ["p B -> B R p", "p _ -> _ R p"]}}
    block = built(rule=rule, max_length=3, step_limit=50, least_halting=0).block("train", 0, 1000)
    assert all("A" in row["input"] for row in block.rows.to_pylist())
    assert 0.1 < block.rejected / (1000 + block.rejected) < 0.5


# --- what is refused -------------------------------------------------------------------------------------------------

DOUBLING = {"markov": [["A", "AA"]]}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rule": "triple_a"}, ("rule", "copy, double_a", "'triple_a'")),
        ({"rule": {"markov": []}}, ("rule", "markov: there is no line", "at least one")),
        ({"rule": {"turing": {"start": "p", "table": []}}}, ("turing.table: there is no line", "at least one")),
        ({"rule": None}, ("rule: there is none", "'copy'")),
        ({"rule": {"markov": ["A = B"]}}, ("markov.0", "pattern -> replacement")),
        ({"rule": {"markov": [["A"]]}}, ("markov.0", "pair")),
        ({"rule": {"markov": [["A", 1]]}}, ("markov.0.replacement", "quotes")),
        ({"rule": {"markov": ["A -> C"]}}, ("rule: 'C'", "alphabet='AB'", "markers")),
        ({"rule": {"markov": ["A -> B", "BA -> B"]}}, ("markov.1", "never used")),
        ({"rule": {"markov": ["A ->. B"], "single_pass": True}}, ("markov.0", "terminal")),
        ({"rule": {"markov": [["", "A"]], "single_pass": True}}, ("markov.0", "empty pattern")),
        ({"rule": {"markov": ["A -> B"], "passes": 2}}, ("passes is not a field", "single_pass")),
        ({"rule": "double_a", "alphabet": "01"}, ("rule: 'A'", "alphabet='01'")),
        (
            {"rule": {"turing": {"start": "q", "table": ["p A -> A R p"]}}},
            ("start: the table has no line for 'q'", "name one of p"),
        ),
        ({"rule": {"turing": {"start": "p", "table": ["p A -> A R q"]}}}, ("table.0: next='q'", "halt")),
        ({"rule": {"turing": {"start": "p", "table": ["p A -> A R p"] * 2}}}, ("table.1", "second line")),
        ({"rule": {"turing": {"start": "p", "table": ["p A -> A X p"]}}}, ("table.0.move", "'X'")),
        ({"rule": {"turing": {"start": "p", "table": ["p A A R"]}}}, ("table.0", "state symbol -> write move next")),
        ({"rule": {"turing": {"start": "p", "blank": "A", "table": ["p A -> A R p"]}}}, ("blank: 'A'", "alphabet")),
        ({"alphabet": ""}, ("alphabet", "no symbol")),
        ({"alphabet": None}, ("alphabet", "there is none")),
        ({"alphabet": 1}, ("alphabet", "quotes")),
        ({"alphabet": "AA"}, ("alphabet", "twice")),
        ({"alphabet": "A{"}, ("alphabet", "'{'")),
        ({"alphabet": "A}"}, ("alphabet", "'}'")),
        ({"alphabet": "A,"}, ("alphabet", "','")),
        ({"alphabet": "".join(map(chr, range(0x4E00, 0x4F00)))}, ("alphabet", "256", "255")),
        ({"markers": "x"}, ("markers", "'x'", "remove it")),
        ({"markers": "A"}, ("markers", "'A'", "alphabet")),
        ({"min_length": 5, "max_length": 4}, ("max_length=4", "raise it to 5")),
        ({"test_max_length": 0}, ("test_max_length=0", "raise it to 1")),
        ({"test_min_length": 10}, ("max_length=9", "test", "raise it to 10")),
        ({"rule": "double_a", "max_length": 3000}, ("max_length=3000", "6000", "raise space_limit")),
        ({"train": 0}, ("train", "greater than or equal to 1")),
        ({"shares": {"test": 0}}, ("shares.test=0", "or set test=0")),
        ({"shares": {"train": 0}}, ("shares.train=0", "make it 1 or more")),
        ({"max_length": 1}, ("max_length=1", "none belongs to", "raise max_length")),
        ({"rule": DOUBLING}, ("rule", "'A -> AA' makes its own pattern again", "single_pass", "does not halt")),
        ({"rule": {"markov": ["A -> B", "B -> A"]}}, ("a Markov algorithm does not halt", "mend the rule")),
        ({"rule": {"markov": [["", "A"]]}}, ("rule: ' -> A' fits every string", "does not halt", "step_limit=10000")),
        (
            {"rule": {"turing": {"start": "p", "table": ["p A -> A R p", "p B -> B R p", "p _ -> _ R p"]}}},
            ("rule: a Turing machine does not halt on 17 of 17 inputs of train", "space_limit=4096"),
        ),
        ({"files": "pairs", "max_length": 3}, ("max_length", "files='pairs'", "leave")),
        ({"files": "pairs", "rule": "copy"}, ("rule", "files='pairs'", "leave")),
    ],
)
def test_what_can_not_be_is_refused_by_field_and_mend(fields, words):
    with pytest.raises(UserError) as refusal:
        built(**fields)
    for word in words:
        assert word in str(refusal.value)


def test_a_rule_that_rarely_halts_can_be_asked_for():
    builder = built(rule=DOUBLING, least_halting=0, step_limit=100)
    block = builder.block("train", 0, 50)
    assert {row["input"].strip("B") for row in block.rows.to_pylist()} == {""}
    assert block.rejected > 50


def test_a_rule_that_never_halts_ends_in_an_error_all_the_same():
    builder = built(rule={"markov": [["", "A"]]}, least_halting=0, step_limit=100)
    with pytest.raises(
        UserError, match=r"row 7 of train: the rule did not halt on 1000 inputs in a row, such as '[AB]+'"
    ):
        builder.block("train", 7, 9)


def test_a_run_of_just_so_many_steps_is_kept():
    rule = {"markov": ["A -> B"]}
    kept = built(rule=rule, min_length=9, step_limit=9, least_halting=0).block("train", 0, 1000)
    assert kept.rejected == 0
    cut = built(rule=rule, min_length=9, step_limit=3, least_halting=0).block("train", 0, 1000)
    assert max(row["steps"] for row in cut.rows.to_pylist()) == 3
    assert cut.rejected > 0


# --- the spec --------------------------------------------------------------------------------------------------------


def test_ways_to_write_a_rule_are_one_spec():
    ways = (["|0 -> 0||", "1 ->. 0|"], [["|0", "0||"], {"pattern": "1", "replacement": "0|", "terminal": True}])
    specs = {RewritingSpec.build({"rule": {"markov": way}, "alphabet": "01", "markers": "|"}).sha256 for way in ways}
    assert len(specs) == 1
    lines = (
        "p A -> B R q",
        ["p", "A", "B", "R", "q"],
        dict(zip(("state", "symbol", "write", "move", "next"), "pABRq", strict=True)),
    )
    rules = ({"turing": {"start": "p", "halt": ["q"], "table": [line]}} for line in lines)
    assert len({RewritingSpec.build({"rule": rule}).sha256 for rule in rules}) == 1


@pytest.mark.parametrize("config", CONFIGS)
def test_a_spec_comes_back_from_its_json(config):
    spec = CONFIGS[config]
    again = RewritingSpec.build(json.loads(spec.canonical_json()))
    assert (again, again.sha256) == (spec, spec.sha256)


def test_a_smaller_spec():
    spec = CONFIGS["rewriting-copy"]
    assert spec.limited(2000) == {"train": 2000, "validation": 1000, "test": 1000}
    assert RewritingSpec.build({"test": 0}).limited(5) == {"train": 5, "validation": 5, "test": 0}
    assert RewritingSpec(files="x", train=3).limited(5) == {"train": 3, "validation": 5}


@pytest.mark.parametrize(("config", "name"), [("rewriting-sort", "ABC"), ("rewriting-increment", "01_")])
def test_the_tokenizer_knows_every_symbol(config, name):
    assert Rewriting(CONFIGS[config]).tokenizer == f"characters:{name}"


def test_the_card_says_what_the_rule_does_and_how_long_inputs_are():
    double, increment = (Rewriting(CONFIGS[f"rewriting-{name}"]).summary for name in ("double-a", "increment"))
    assert "the rule double_a (each A doubled) makes of it" in double
    assert "Inputs have 1 to 9 symbols." in double
    assert "Inputs have 1 to 16 symbols, those of the test split 17 to 24." in increment


# --- files -----------------------------------------------------------------------------------------------------------


def read(tmp_path, learnt, tested="A,A\n", **fields):
    """Return a builder of these files, prepared as the engine does it."""
    for name, text in (("train", learnt), ("val", tested)):
        (tmp_path / f"pairs_{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    builder = built(files=str(tmp_path / "pairs"), **fields)
    folders = [tmp_path / piece for piece in builder.pieces()]
    for piece, folder in zip(builder.pieces(), folders, strict=True):
        folder.mkdir()
        builder.prepare(piece, folder)
    builder.prepared = tmp_path / "prepared"
    builder.prepared.mkdir()
    builder.join(folders, builder.prepared)
    return builder


def test_files_are_read_in_order(tmp_path):
    pairs = [(f"{number:b}", "1" * (number % 7)) for number in range(3000)]
    text = "".join(f"{first},{second}\n" for first, second in pairs)
    builder = read(tmp_path, text, "101,1\r\n111,é\n\n".replace("\n\n", "\n,"))
    assert dict(builder.rows) == {"train": 3000, "validation": 3}
    whole = [row for start in (0, 1024, 2048) for row in rows(builder, "train", start, min(start + 1024, 3000))]
    assert [(row["input"], row["output"]) for row in whole] == pairs
    assert whole[5] == {"input": "101", "output": "11111", "text": "{101,11111}", "steps": None}
    assert rows(builder, "train", 1000, 1100) == whole[1000:1100]
    assert [row["text"] for row in rows(builder, "validation", 0, 3)] == ["{101,1}", "{111,é}", "{,}"]
    assert builder.facts() == {"bad_lines": 0, "shared_inputs": 2}
    assert (builder.tokenizer, builder.origin, builder.reports()) == ("characters:01é", "found", {})
    train, _ = builder.sources()
    assert (train.name, train.bytes) == ("pairs_train.txt", len(text))
    assert block_digest(builder.block("train", 0, 1024).rows)


def test_bad_lines_are_set_aside_with_their_reason(tmp_path):
    lines = [
        b"\xef\xbb\xbfAB,AAB", b"AB", b"A,B,C", b"", b"A{,B", b"A B,C", b"\xff,A", b"A" * 300_000 + b",A", b"BB,BB"
    ]  # fmt: skip
    builder = read(tmp_path, b"\n".join(lines) + b"\n")
    assert [row["text"] for row in rows(builder, "train", 0, 2)] == ["{AB,AAB}", "{BB,BB}"]
    assert builder.facts()["bad_lines"] == 7
    aside = [json.loads(line) for line in builder.reports()["quarantine.jsonl"].read_text().splitlines()]
    assert [(record["line"], record["reason"]) for record in aside] == [
        (2, "0 times ','; once is needed"),
        (3, "2 times ','; once is needed"),
        (4, "0 times ','; once is needed"),
        (5, "'{' marks the parts of a row and can be no symbol"),
        (6, "' ' is white space or can't be printed, and can be no symbol"),
        (7, "not UTF-8 at byte 0"),
        (8, "longer than 262144 bytes"),
    ]
    assert {record["file"] for record in aside} == {"pairs_train.txt"}
    assert builder.tokenizer == "characters:AB"


def test_too_many_bad_lines_stop_the_build(tmp_path):
    with pytest.raises(UserError, match=r"max_bad_lines: .*pairs_train.txt has more than 1 bad lines .*line 3"):
        read(tmp_path, "A,A\nx\ny\nz\n", max_bad_lines=1)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_pairs_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="no line of the form input,output"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"files: .*none_train.txt does not exist"):
        built(files=str(tmp_path / "none")).prepare("train", tmp_path)


def test_symbols_that_spell_the_filler_are_refused(tmp_path):
    with pytest.raises(UserError, match="spell"):
        read(tmp_path, "[P,A\n", "D],A\n")


def test_part_of_the_files(tmp_path):
    builder = read(tmp_path, "A,A\n" * 5, train=3, validation=0)
    assert dict(builder.rows) == {"train": 3}
