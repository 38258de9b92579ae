"""The Lorenz family against the original's rows, and against a slow and plain NumPy version of the same generator.

Rows with frames hang on the LAPACK at work, so both sides of a comparison use the same one. (The original's rows are
the exception: on a CPU whose BLAS flips a sign, one of the hundred may differ; the plain version then differs alike.)
"""

import ast
import gzip
import hashlib
import re
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hubkit.corpora.builder import CorpusBuilder
from hubkit.errors import UserError
from hubkit.randomness import item_seed
from hubkit.resources import load_module, resource

BUILDER_FILE = resource("dataset_builders", "lorenz.py")
lorenz = load_module(BUILDER_FILE, "hubkit.dataset_builders.lorenz")
microcosm, float16 = lorenz.microcosm, lorenz.halves
kernels = microcosm.kernels

ROWS_FILE = Path(__file__).parent / "data" / "lorenz_xsmall_seeds_0_99.txt.gz"
NUMPY_1_TEXTS_SHA256 = "bcffd57db42c7dcf7b1ccc84abfa1dc2620adcf1cfe74330864469a63872f726"
"""Of the `repr` of all 65,536 float16 in order, a line each, as NumPy 1.26.4 gives them."""
ROWS_SHA256 = "ab342adbc71f19284a8082fc87f2252ea6237125add3386deb99e98c4a563275"
XSMALL = {"generator": "microcosm", "num_steps": 40, "max_dim": 10, "max_sys": 2}
TOKEN = re.compile(r"'[a-z_0-9]+':?|0000|000|\d\d|\d|e-0[5-8]|[{}\[\],.\-?]")

# --- the plain version -----------------------------------------------------------------------------------------------


def plain_text(number: np.float16) -> str:
    """The fewest digits that round to a float16, found by trying; laid out as the `repr` of a Python float would."""
    return plain_text_of(int(np.float16(number).view(np.uint16)))


@cache
def plain_text_of(bits: int) -> str:
    number = np.uint16(bits).view(np.float16)
    if not np.isfinite(number):
        return repr(float(number))
    # A tie goes to the even digit, unless only the other names the number: 2**-6 is 0.01563, for 0.01562 is another's.
    for digits in range(17):
        for rounding in (ROUND_HALF_EVEN, ROUND_HALF_UP):
            with localcontext(rounding=rounding), np.errstate(over="ignore"):
                text = f"{Decimal(float(number)):.{digits}e}"
                if np.float16(float(text)) == number:
                    return repr(float(text))
    raise AssertionError(number)


def plain_list(values) -> str:
    return "[" + ", ".join(plain_text(value) for value in values) + "]"


def plain_lists(rows) -> str:
    return "[" + ", ".join(plain_list(row) for row in rows) + "]"


def plain_orbit(params, start, steps, multip):
    """All points at which an orbit is looked at, or None where it leaves the ball."""
    sigma, beta, rho = (float(plain_text(value)) for value in params)
    x, y, z = (float(plain_text(value)) for value in start)
    points = []
    for _ in range(steps * multip):
        if not x**2 + y**2 + z**2 <= 55**2:
            return None
        points.append((x, y, z))
        dx, dy, dz = sigma * (y - x), rho * x - y - x * z, x * y - beta * z
        x, y, z = x + dx / 700, y + dy / 700, z + dz / 700
    return np.array(points[::multip])


def plain_system(rng, multip, spec):
    for _ in range(spec.retries):
        params = np.abs(np.array([8, 2.66, 25]) * (1 + 0.4 * rng.normal(size=3))).astype(np.float16)
        start = rng.normal(size=3).astype(np.float16) * np.float16(3)
        orbit = plain_orbit(params, start, spec.num_steps, multip)
        if orbit is not None and not (spec.normalize and (orbit.std(axis=0) == 0).any()):
            return params, start, orbit
    return None


def plain_world(seed: int, spec) -> str:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 1 + spec.max_sys))
    rng.integers(0, 1, count)
    multips = [1, 2, 4, 8, 16, 32]
    multips = [spec.step_multip or multips[i] for i in rng.integers(0, 6, count)]
    described, orbits = "", []
    for number, multip in enumerate(multips):
        system = plain_system(rng, multip, spec)
        if system is None:
            return "{}"
        params, start, orbit = system
        orbits.append(orbit)
        described += f"'sys{number}': {{'params': {plain_list(params)}, 'init_point': {plain_list(start)}, "
        described += f"'step_size': 700, 'name': 'lorenz', 'step_multip': {multip}}}, "
    series = np.concatenate(orbits, axis=1)
    moments = [series.mean(axis=0), series.std(axis=0)] if spec.normalize else []
    if spec.normalize:
        series = (series - moments[0]) / moments[1]
        moments = np.array(moments).astype(np.float16)
    left, scales, right = plain_embedding(rng, 3 * count, spec)
    data = series.astype(np.float16)
    for used, factor in ((spec.rotate, left), (spec.dilate, np.diag(scales)), (spec.rotate_again, right)):
        data = data @ factor if used else data
    embedding = f"[{plain_lists(left if spec.rotate else [])}, {plain_list(scales if spec.dilate else [])}, "
    embedding += f"{plain_lists(right if spec.rotate_again else [])}]"
    described += f"'normalization': {plain_lists(moments)}, 'embedding': {embedding}"
    return f"{{'description': {{'num_sys': {count}, {described}}}, 'data': {plain_lists(data)}}}"


def plain_embedding(rng, old, spec):
    new = int(rng.integers(spec.min_dim, spec.max_dim))
    new = old if not spec.change_dim else spec.new_dim or new
    left, _, right = np.linalg.svd(rng.normal(size=[old, new]), full_matrices=False)
    hierarchies = int(rng.integers(1, 3))
    hierarchies = spec.num_hierarchies or hierarchies
    chosen = sorted(rng.choice([10, 100], hierarchies - 1, replace=False))
    scales = [scale for scale in chosen for _ in range(min(old, new) // hierarchies)]
    scales = [1] * (min(old, new) - len(scales)) + scales
    return left.astype(np.float16), np.array(scales, np.float16), right.astype(np.float16)


def fast_world(seed: int, spec) -> str:
    (world,) = microcosm.draw_worlds([seed], spec)
    return "{}" if world is None else world.text


def named(config: str):
    """A named config, made by the generator of the originals."""
    return lorenz.CONFIGS[config].model_copy(update={"generator": "microcosm"})


def corpus(**fields):
    return lorenz.Lorenz(lorenz.LorenzSpec(**({"splits": {"train": 1000, "test": 100}} | fields)))


# --- the rows --------------------------------------------------------------------------------------------------------


def test_rows_are_the_originals_to_the_byte():
    text = gzip.decompress(ROWS_FILE.read_bytes())
    assert hashlib.sha256(text).hexdigest() == ROWS_SHA256
    rows = text.decode().splitlines()
    assert len(rows) == 100
    assert rows.count("{}") == 1
    assert [lorenz.sample_world(seed, **XSMALL) for seed in range(100)] == rows


def test_rows_are_the_plain_versions_at_many_seeds():
    spec = lorenz.WorldSpec(**XSMALL)
    seeds = [*range(1000, 1600), *(item_seed(7, index) for index in range(100))]
    worlds = microcosm.draw_worlds(seeds, spec)
    assert ["{}" if world is None else world.text for world in worlds] == [plain_world(seed, spec) for seed in seeds]


def test_rows_are_the_plain_versions_at_the_full_shape():
    spec = named("lorenz")
    assert (spec.num_steps, spec.max_sys, spec.min_dim, spec.max_dim) == (500, 5, 3, 40)
    for seed in range(6):
        assert fast_world(seed, spec) == plain_world(seed, spec)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "num_steps": st.integers(1, 60),
        "max_sys": st.integers(1, 5),
        "min_dim": st.integers(1, 12),
        "max_dim": st.integers(2, 25),
        "step_multip": st.sampled_from([None, 1, 2, 4, 8, 16, 32]),
        "retries": st.integers(1, 6),
        "normalize": st.booleans(),
        "rotate": st.booleans(),
        "dilate": st.booleans(),
        "rotate_again": st.booleans(),
        "change_dim": st.booleans(),
        "new_dim": st.one_of(st.none(), st.integers(1, 20)),
        "num_hierarchies": st.sampled_from([None, 1, 2, 3]),
    },
)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**128 - 1), options=OPTIONS)
def test_rows_are_the_plain_versions_under_any_option(seed, options):
    try:
        spec = lorenz.WorldSpec.build({"num_steps": 30} | options)
    except UserError:
        assume(False)
        raise
    text = lorenz.sample_world(seed, **{"num_steps": 30} | options)
    assert text == plain_world(seed, spec)
    if text == "{}":
        return
    world = ast.literal_eval(text)
    left, scales, right = world["description"]["embedding"]
    old = 3 * world["description"]["num_sys"]
    columns = {len(row) for row in world["data"]}
    assert len(world["data"]) == spec.num_steps
    assert (left != [], scales != [], right != []) == (spec.rotate, spec.dilate, spec.rotate_again)
    assert (world["description"]["normalization"] != []) == spec.normalize
    if not spec.change_dim:
        assert columns == {old}
    elif spec.new_dim and spec.rotate_again:
        assert columns == {spec.new_dim}
    elif spec.new_dim:
        assert columns == {min(old, spec.new_dim)}
    elif not spec.rotate_again:
        assert columns <= set(range(1, old + 1))
    else:
        assert columns <= set(range(spec.min_dim, spec.max_dim))


def test_switches_and_overrides_leave_the_draws_alone():
    def systems(**options):
        description = ast.literal_eval(lorenz.sample_world(3, **XSMALL, **options))["description"]
        return [(s["params"], s["init_point"]) for name, s in description.items() if name.startswith("sys")]

    usual = systems()
    for options in ({"normalize": False}, {"rotate_again": False}, {"change_dim": False}, {"new_dim": 4}):
        assert systems(**options) == usual
    assert systems(step_multip=1)[0][0] == usual[0][0]


# --- float16 ---------------------------------------------------------------------------------------------------------


def test_every_float16_has_its_text():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    texts = float16.half_texts()
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == NUMPY_1_TEXTS_SHA256
    assert list(texts) == [plain_text(half) for half in halves]
    wanted = {
        0x2E66: "0.1",
        0x2400: "0.01563",
        0x8000: "-0.0",
        0x7BFF: "65500.0",
        0x64D2: "1234.0",
        0x0001: "6e-08",
        0x0400: "6.104e-05",
    }
    assert {bits: texts[bits] for bits in wanted} == wanted
    with np.errstate(over="ignore"):
        back = np.array([float(text) for text in texts]).astype(np.float16)
    assert ((back == halves) | np.isnan(halves)).all()


def test_tables_agree_with_the_texts():
    chars, lengths, values, decimals = float16.half_tables()
    texts = float16.half_texts()
    assert [bytes(row[:length]).decode() for row, length in zip(chars, lengths, strict=True)] == list(texts)
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(values, halves.astype(np.float32))
    np.testing.assert_array_equal(decimals, [float(text) for text in texts])


def test_rounding_to_float16_is_numpys():
    rng = np.random.default_rng(0)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(float)
    middles = (halves[:-1] + halves[1:]) / 2
    numbers = [*halves, *middles, *np.nextafter(middles, 0), *np.nextafter(middles, 1e9), 65519.99, 65520.0, np.inf]
    numbers += [*rng.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64), np.nan, 1e-300, 5e-324]
    numbers = np.array(numbers)
    numbers[::3] = -numbers[::3]
    with np.errstate(all="ignore"):
        wanted = numbers.astype(np.float16)
    got = np.array([float16.half(number) for number in numbers], np.uint16).view(np.float16)
    nans = np.isnan(wanted)
    np.testing.assert_array_equal(np.isnan(got), nans)
    np.testing.assert_array_equal(got[~nans].view(np.uint16), wanted[~nans].view(np.uint16))


# --- rejection -------------------------------------------------------------------------------------------------------


def simulate(draws, steps=2, multip=1, normalize=True):
    out = np.empty((1, 6), np.uint16), np.empty((steps, 3), np.uint16), np.empty((2, 3), np.uint16)
    return kernels.simulate(
        np.array(draws, float), microcosm._PHYSICS, float16.half_tables(), 0, multip, normalize, *out
    )


def test_orbits_that_leave_the_ball_are_rejected():
    assert simulate([0, 0, 0, 0.5, 0.1, 0.2])
    assert not simulate([0, 0, 0, 19, 0, 0.1])  # starts outside
    assert not simulate([0, 0, 40, 1, 1, 1], steps=40, multip=32)  # leaves later on


@pytest.mark.parametrize("place", range(6))
def test_what_is_not_a_number_is_rejected(place):
    draws = [0.0, 0, 0, 0.5, 0.1, 0.2]
    draws[place] = np.nan
    assert not simulate(draws)


def test_a_column_that_never_moves_is_rejected_only_where_it_is_normalised():
    assert not simulate([0, 0, 0, 0.5, 0.5, 0.2])  # dx = σ(y − x) = 0 at the only step
    assert simulate([0, 0, 0, 0.5, 0.5, 0.2], normalize=False)


def test_a_dropped_world_is_empty_or_an_error():
    seed = gzip.decompress(ROWS_FILE.read_bytes()).decode().splitlines().index("{}")
    assert lorenz.sample_world(seed, **XSMALL) == "{}"
    assert lorenz.sample_world(seed, **XSMALL, retries=50) != "{}"
    with pytest.raises(UserError, match=rf"seed={seed} is dropped.* retries=5 tries; .*graceful_fail=True"):
        lorenz.sample_world(seed, **XSMALL, graceful_fail=False)


# --- blocks ----------------------------------------------------------------------------------------------------------

OFTEN_DROPPED = {"generator": "microcosm", "num_steps": 8, "max_sys": 2, "max_dim": 6, "step_multip": 32, "retries": 1}


def rows(block) -> list:
    return block.rows.to_pylist()


def test_rows_do_not_depend_on_the_blocks():
    builder = corpus(**OFTEN_DROPPED)
    whole = builder.block("train", 0, 100)
    parts = [builder.block("train", *ends) for ends in ((0, 1), (1, 33), (33, 100))]
    assert rows(whole) == [row for part in parts for row in rows(part)]
    assert whole.rejected == sum(part.rejected for part in parts)
    assert whole.rows.schema == builder.schema
    whole.rows.validate(full=True)


def test_blocks_are_the_rows_one_by_one():
    for builder in (corpus(**OFTEN_DROPPED), corpus(**XSMALL, seed=5)):
        one_by_one = CorpusBuilder.block(builder, "test", 10, 60)
        block = builder.block("test", 10, 60)
        assert block.rows.equals(one_by_one.rows)
        assert block.rejected == one_by_one.rejected


def test_rejected_draws_are_counted():
    builder = corpus(**OFTEN_DROPPED)
    key, rejected, kept = builder.stream("train"), 0, []
    for index in range(60):
        attempt = 0
        while (row := builder.row(item_seed(key, index, attempt))) is None:
            attempt += 1
        rejected += attempt
        kept.append(row)
    block = builder.block("train", 0, 60)
    assert block.rejected == rejected > 10
    assert rows(block) == kept


def test_adding_rows_leaves_the_old_ones():
    small, large = corpus(**XSMALL, splits={"train": 20}), corpus(**XSMALL, splits={"train": 500, "extra": 3})
    assert rows(small.block("train", 0, 20)) == rows(large.block("train", 0, 30))[:20]


def test_splits_and_seeds_share_no_row():
    builder, other = corpus(**XSMALL), corpus(**XSMALL, seed=1)
    texts = [b.block(split, 0, 20).rows["text"].to_pylist() for b in (builder, other) for split in ("train", "test")]
    assert len({text for block in texts for text in block}) == 80


def test_a_spec_that_no_draw_meets_is_refused(monkeypatch):
    monkeypatch.setattr(lorenz, "MAX_ATTEMPTS", 1)
    with pytest.raises(UserError, match=r"row \d+ of train: 1 draws in a row were dropped.*raise retries"):
        corpus(**OFTEN_DROPPED).block("train", 0, 60)


def test_the_rows_of_this_version_are_these():
    """If this fails, rows have changed: raise `Lorenz.version`. (No LAPACK in them: they are the same everywhere.)"""
    texts = lorenz.Lorenz(named("lorenz-tiny")).block("train", 0, 200).rows["text"].to_pylist()
    assert lorenz.Lorenz.version == "1"
    assert (
        hashlib.sha256("\n".join(texts).encode()).hexdigest()
        == "a2df971255f4ef643caa1a9c67645400f96b46fc529470728fbf7214b1c1e724"
    )


def test_columns_hold_what_the_text_says():
    block = corpus(num_steps=5, max_sys=5, max_dim=8).block("train", 0, 50)
    for row in rows(block):
        description = ast.literal_eval(row["text"])["description"]
        systems = [description[f"sys{number}"] for number in range(description["num_sys"])]
        for column in ("params", "init_point", "step_multip"):
            assert row[column] == [system[column] for system in systems]
    assert block.rows.schema.field("step_multip").type == pa.list_(pa.int32())


def test_another_module_name_finds_the_same_compiled_loops():
    """Numba's cache looks the loops' module up by name, so that name must not follow the builder's."""
    fast_world(0, lorenz.WorldSpec(**XSMALL))
    code = f"""
from pathlib import Path
from hubkit.resources import load_module
module = load_module(Path({str(BUILDER_FILE)!r}), "quite_another_name")
print(module.sample_world(0, **{XSMALL!r}))
for loop in (module.microcosm.kernels.simulate, module.microcosm.kernels.describe):
    print(sum(loop.stats.cache_hits.values()))
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    text, hits, other_hits = printed.splitlines()
    assert text == lorenz.sample_world(0, **XSMALL)
    assert (hits, other_hits) == ("1", "1")


def test_the_loops_need_no_folder_that_can_be_written():
    """A read-only installation and a read-only home leave Numba nowhere to keep what it compiled."""
    code = f"""
from pathlib import Path
from numba.core import caching
from hubkit.resources import load_module
caching.CacheImpl._locator_classes = []
module = load_module(Path({str(BUILDER_FILE)!r}), "lorenz")
print(module.microcosm.kernels.simulate._cache)
print(module.portable.settling.settle._cache)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("NullCache") == 2


# --- specs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, r"num_steps: .*greater than or equal to 1 \(got 0\)"),
        ({"num_steps": 1}, r"num_steps=1 has no standard deviation .*set num_steps to 2 or more, or normalize=false"),
        ({"max_sys": 0}, r"max_sys: .*greater than or equal to 1 \(got 0\)"),
        ({"max_sys": 6}, r"max_sys: .*less than or equal to 5 \(got 6\)"),
        ({"min_dim": 0}, r"min_dim: .*greater than or equal to 1 \(got 0\)"),
        ({"min_dim": 9, "max_dim": 9}, r"max_dim=9 leaves no dimension .*min_dim=9.*set max_dim to 10 or more"),
        ({"step_multip": 3}, r"step_multip: .*1, 2, 4, 8, 16 or 32 \(got 3\)"),
        ({"num_hierarchies": 4}, r"num_hierarchies: .*1, 2 or 3 \(got 4\)"),
        ({"new_dim": 0}, r"new_dim: .*greater than or equal to 1 \(got 0\)"),
        ({"new_dim": 5, "change_dim": False}, r"new_dim=5 contradicts change_dim=false; leave one"),
        ({"retries": 0}, r"retries: .*greater than or equal to 1 \(got 0\)"),
        ({"integrator": "heun"}, r"integrator: .*'euler' or 'rk4' \(got 'heun'\)"),
        (
            {"generator": "microcosm", "integrator": "rk4"},
            r"integrator=rk4 is not what generator=microcosm .*; set integrator=euler, or generator=portable",
        ),
        ({"generator": "lapack"}, r"generator: .*'portable' or 'microcosm' \(got 'lapack'\)"),
        ({"normalise": False}, r"normalise is not a field \(known: .*normalize"),
        ({"num_steps": [1]}, r"num_steps: .*integer \(got \[1\]\)"),
        (
            {"rotate": False},
            r"rotate=false can't bring the 15 columns of max_sys=5 down to 3; set change_dim=false, or",
        ),
        ({"rotate": False, "new_dim": 4, "max_sys": 2}, r"rotate=false .* 6 columns .* or new_dim to 6 or more"),
        (
            {"rotate": False, "rotate_again": False, "max_sys": 2, "max_dim": 10},
            r"can't change the dimension \(3 to 6 columns\) to 3–9; set change_dim=false",
        ),
        ({"rotate": False, "rotate_again": False, "max_sys": 1, "new_dim": 4}, r"can't change .* to 4; set change_dim"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match="^sample_world: .*" + message):
        lorenz.sample_world(0, **options)
    with pytest.raises(UserError, match="^my.yaml: .*" + message):
        lorenz.LorenzSpec.build({"splits": {"train": 1}} | options, origin="my.yaml")


@pytest.mark.parametrize(
    "options",
    [
        {"rotate": False, "min_dim": 6, "max_dim": 9},
        {"rotate": False, "new_dim": 6},
        {"rotate": False, "change_dim": False},
        {"rotate": False, "rotate_again": False, "max_sys": 1, "new_dim": 3},
        {"rotate": False, "rotate_again": False, "max_sys": 1, "min_dim": 3, "max_dim": 4},
        {"num_steps": 1, "normalize": False},
    ],
)
def test_possible_options_are_taken(options):
    assert lorenz.sample_world(0, **{"num_steps": 5, "max_sys": 2} | options).startswith("{'description'")


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(UserError, match=r"seed=.* is not an integer from 0 on"):
        lorenz.sample_world(seed)


def test_rows_too_long_for_a_block_are_refused():
    with pytest.raises(UserError, match=r"num_steps=100000 with up to 39 columns .*lower num_steps or max_dim"):
        lorenz.LorenzSpec.build({"splits": {"train": 1}, "num_steps": 100_000})


def test_named_configs():
    shapes = {
        name: (spec.num_steps, spec.max_sys, spec.min_dim, spec.max_dim, tuple(spec.splits.values()))
        for name, spec in lorenz.Lorenz.configs.items()
    }
    assert shapes["lorenz-xsmall"] == (40, 2, 3, 10, (877_302, 109_663, 109_663))
    assert shapes["lorenz"] == (500, 5, 3, 40, (100_000, 10_000, 10_000))
    assert shapes["lorenz-tiny"][:2] == (10, 1)
    assert shapes["lorenz-tiny"][4] == (16_000, 2_000, 2_000)
    assert all(list(spec.splits) == ["train", "validation", "test"] for spec in lorenz.Lorenz.configs.values())


@pytest.mark.parametrize("generator", ["portable", "microcosm"])
def test_every_tiny_row_has_fewer_than_300_tokens(generator):
    spec = lorenz.CONFIGS["lorenz-tiny"].model_copy(update={"generator": generator})
    builder = lorenz.Lorenz(spec)
    longest = 0
    for split, count in builder.spec.splits.items():
        for start in range(0, count, 1000):
            for text in builder.block(split, start, start + 1000).rows["text"].to_pylist():
                longest = max(longest, len(TOKEN.findall(text)))
    assert longest < 300
    assert re.sub(r"\s", "", "".join(TOKEN.findall(text))) == re.sub(r"\s", "", text)
    world = ast.literal_eval(text)
    assert (len(world["data"]), len(world["data"][0]), world["description"]["num_sys"]) == (10, 3, 1)


@pytest.mark.parametrize("config", ["lorenz-tiny", "lorenz-xsmall", "lorenz"])
def test_row_bytes_is_about_right(config):
    builder = lorenz.Lorenz(lorenz.CONFIGS[config])
    block = builder.block("train", 0, 300)
    assert builder.row_bytes == pytest.approx(block.rows.nbytes / 300, rel=0.25)


def test_numerics_name_the_lapack_where_rows_hang_on_it():
    assert lorenz.Lorenz(named("lorenz-tiny")).numerics() == {}
    numerics = lorenz.Lorenz(named("lorenz-xsmall")).numerics()
    assert set(numerics) == {"lapack", "lapack_version", "lapack_kernel"}
    assert all(isinstance(value, str) and value for value in numerics.values())


def test_numerics_without_a_known_blas(monkeypatch):
    monkeypatch.setattr(microcosm.threadpoolctl, "threadpool_info", lambda: [{"user_api": "openmp"}])
    assert all(lorenz.Lorenz(named("lorenz")).numerics().values())


def test_the_family_is_described():
    assert lorenz.BUILDER is lorenz.Lorenz
    assert (lorenz.Lorenz.name, lorenz.Lorenz.version, lorenz.Lorenz.tokenizer) == ("lorenz", "1", "lorenz")
    assert "numba" in lorenz.Lorenz.libraries
    assert lorenz.Lorenz.schema.names == ["text", "params", "init_point", "step_multip"]
