"""The portable Lorenz generator: the same rows everywhere, of the distribution that the originals have.

Every comparison of distributions is between fixed rows, so that it passes always or never; its tolerance is some
standard errors.
"""

import ast
import hashlib
import json
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.resources import load_module, resource
from hubkit.tokenizers.lorenz import encode_batch

lorenz = load_module(resource("dataset_builders", "lorenz.py"), "hubkit.dataset_builders.lorenz")
portable, halves = lorenz.portable, lorenz.halves
svd = portable.observing.svd

GOLDEN = {
    "lorenz-tiny": (1024, "e67136d03e231c6d35a622771a4b0574084a7f148f5c0f1c1aa875fabd532e8c"),
    "lorenz-xsmall": (1024, "6219dc8a81709faa045a354dde2311579b1af097425d006ee2c5d1c767f5e31f"),
    "lorenz": (128, "bc8dfa8ee4f3f1d861cbc0efb145b891bb67bc830505d30732e2e6475570717d"),
}
XSMALL = {"num_steps": 40, "max_dim": 10, "max_sys": 2}
OFTEN_DROPPED = {"num_steps": 8, "max_sys": 2, "max_dim": 6, "step_multip": 32, "retries": 1}


def corpus(**fields):
    return lorenz.Lorenz(lorenz.LorenzSpec(**({"splits": {"train": 100_000, "test": 100}} | fields)))


def texts(builder, stop, start=0) -> list[str]:
    return builder.block("train", start, stop).rows["text"].to_pylist()


def parsed(text: str):
    """A world as plain data: JSON but for its quotes, and JSON's parser takes a twentieth of the time of Python's."""
    return json.loads(text.replace("'", '"'))


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", GOLDEN)
def test_the_rows_of_this_version_are_these(config):
    """If this fails, rows have changed: raise `Lorenz.version`."""
    rows, sha256 = GOLDEN[config]
    builder = lorenz.Lorenz(lorenz.CONFIGS[config])
    assert (builder.version, builder.spec.generator, builder.spec.integrator) == ("1", "portable", "euler")
    assert hashlib.sha256("\n".join(texts(builder, rows)).encode()).hexdigest() == sha256


def test_no_linear_algebra_of_others_leads_to_a_row(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a row hangs on a BLAS or LAPACK")

    wanted = texts(corpus(**XSMALL, seed=1), 50)
    for module, name in ((np.linalg, "svd"), (np.linalg, "qr"), (np, "matmul"), (np, "dot"), (np, "einsum")):
        monkeypatch.setattr(module, name, refuse)
    assert texts(corpus(**XSMALL, seed=1), 50) == wanted
    assert corpus(**XSMALL).numerics() == {}


@pytest.mark.parametrize("options", [XSMALL, OFTEN_DROPPED, XSMALL | {"integrator": "rk4"}])
def test_rows_do_not_depend_on_the_blocks(options):
    builder = corpus(**options)
    whole = builder.block("train", 0, 600)
    parts = [builder.block("train", *ends) for ends in ((0, 1), (1, 33), (33, 300), (300, 600))]
    assert pa.Table.from_batches([whole.rows]).equals(pa.Table.from_batches([p.rows for p in parts]).combine_chunks())
    assert whole.rejected == sum(part.rejected for part in parts)
    assert (whole.rejected > 100) == (options is OFTEN_DROPPED)
    whole.rows.validate(full=True)
    assert whole.rows.schema == builder.schema


def test_splits_and_seeds_share_no_row():
    builders = corpus(**XSMALL), corpus(**XSMALL, seed=1)
    rows = [b.block(split, 0, 20).rows["text"].to_pylist() for b in builders for split in ("train", "test")]
    assert len({text for block in rows for text in block}) == 80


def test_a_spec_that_no_draw_meets_is_refused(monkeypatch):
    monkeypatch.setattr(lorenz, "MAX_ATTEMPTS", 1)
    with pytest.raises(UserError, match=r"row \d+ of train: 1 draws in a row were dropped.*raise retries"):
        corpus(**OFTEN_DROPPED).block("train", 0, 60)


def test_columns_hold_what_the_text_says():
    for row in corpus(num_steps=5, max_sys=5, max_dim=8).block("train", 0, 50).rows.to_pylist():
        description = ast.literal_eval(row["text"])["description"]
        systems = [description[f"sys{number}"] for number in range(description["num_sys"])]
        for column in ("params", "init_point", "step_multip"):
            assert row[column] == [system[column] for system in systems]


def test_single_worlds_are_microcosms_unless_told_otherwise():
    assert lorenz.sample_world(5, **XSMALL) == lorenz.sample_world(5, **XSMALL, generator="microcosm")
    worlds = [lorenz.sample_world(seed, **OFTEN_DROPPED, generator="portable") for seed in range(20)]
    assert 0 < worlds.count("{}") < 20
    assert len(set(worlds)) == 21 - worlds.count("{}")
    with pytest.raises(UserError, match=r"is dropped.*graceful_fail=True"):
        lorenz.sample_world(worlds.index("{}"), **OFTEN_DROPPED, generator="portable", graceful_fail=False)


# --- what a row says -------------------------------------------------------------------------------------------------


def product(series, factor):
    """A float16 product, summed in float32 from the first term to the last."""
    sums = np.zeros((len(series), factor.shape[1]), np.float32)
    for i in range(len(factor)):
        sums += series[:, i : i + 1].astype(np.float32) * factor[i].astype(np.float32)
    return sums.astype(np.float16)


def orbit(system, steps, integrator):
    """The observed points of a system, integrated one number after the other."""
    (sigma, beta, rho), point = system["params"], np.array(system["init_point"])
    points, step = [], 1.0 / 700.0

    def slope(p):
        x, y, z = p
        return np.array([sigma * (y - x), rho * x - y - x * z, x * y - beta * z])

    for count in range(steps * system["step_multip"]):
        assert (point**2).sum() <= 55.0**2
        if count % system["step_multip"] == 0:
            points.append(point)
        if integrator == "euler":
            point = point + step * slope(point)
        else:
            a = slope(point)
            b = slope(point + step / 2 * a)
            c = slope(point + step / 2 * b)
            d = slope(point + step * c)
            point = point + step / 6 * (a + 2 * (b + c) + d)
    return np.array(points)


@pytest.mark.parametrize("integrator", ["euler", "rk4"])
@pytest.mark.parametrize("changes", [{}, {"normalize": False}, {"max_sys": 5, "num_hierarchies": 3}])
def test_a_world_is_what_its_description_makes(integrator, changes):
    """The description's own numbers, taken through plain NumPy, give the data."""
    builder = corpus(**XSMALL | {"num_steps": 6, "integrator": integrator} | changes)
    for text in texts(builder, 25):
        world = parsed(text)
        description, data = world["description"], np.array(world["data"], np.float16)
        systems = [description[f"sys{i}"] for i in range(description["num_sys"])]
        series = np.concatenate([orbit(system, 6, integrator) for system in systems], axis=1)
        if description["normalization"]:
            mean, deviation = series.mean(axis=0), series.std(axis=0)
            np.testing.assert_array_equal(
                np.array(description["normalization"], np.float16)[0], mean.astype(np.float16)
            )
            series = (series - mean) / deviation
        left, scales, right = (np.array(part, np.float16) for part in description["embedding"])
        seen = product((product(series.astype(np.float16), left) * scales).astype(np.float16), right)
        # NumPy adds in another order, so the last bit of a few series' numbers may differ, and is stretched then.
        assert np.abs(seen.astype(float) - data.astype(float)).max() <= 2e-3 * np.abs(data.astype(float)).max()
        assert (seen == data).mean() > 0.9
        size = min(3 * len(systems), data.shape[1])
        np.testing.assert_allclose(left.astype(float).T @ left.astype(float), np.eye(size), atol=2e-3)
        np.testing.assert_allclose(right.astype(float) @ right.astype(float).T, np.eye(size), atol=2e-3)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "num_steps": st.integers(1, 30),
        "max_sys": st.integers(1, 5),
        "min_dim": st.integers(1, 12),
        "max_dim": st.integers(2, 25),
        "step_multip": st.sampled_from([None, 1, 2, 4, 8, 16]),
        "normalize": st.booleans(),
        "rotate": st.booleans(),
        "dilate": st.booleans(),
        "rotate_again": st.booleans(),
        "change_dim": st.booleans(),
        "new_dim": st.one_of(st.none(), st.integers(1, 20)),
        "num_hierarchies": st.sampled_from([None, 1, 2, 3]),
        "integrator": st.sampled_from(["euler", "rk4"]),
    },
)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**62), options=OPTIONS)
def test_switches_mean_what_they_mean_in_microcosm(seed, options):
    try:
        spec = lorenz.LorenzSpec.build({"num_steps": 10, "seed": seed, "splits": {"train": 9}} | options)
    except UserError:
        return
    builder = lorenz.Lorenz(spec)
    rows = texts(builder, 4)
    for text in rows:
        world = parsed(text)
        left, scales, right = world["description"]["embedding"]
        old, columns = 3 * world["description"]["num_sys"], len(world["data"][0])
        assert {len(row) for row in world["data"]} == {columns}
        assert len(world["data"]) == spec.num_steps
        assert (left != [], scales != [], right != []) == (spec.rotate, spec.dilate, spec.rotate_again)
        assert [len(row) for row in world["description"]["normalization"]] == [old] * 2 * spec.normalize
        dims = (
            {old} if not spec.change_dim else {spec.new_dim} if spec.new_dim else set(range(spec.min_dim, spec.max_dim))
        )
        assert columns in (dims if spec.rotate_again else {min(old, dim) for dim in dims})
        if spec.dilate and spec.num_hierarchies:
            copies = len(scales) // spec.num_hierarchies
            assert sum(scale != 1.0 for scale in scales) == copies * (spec.num_hierarchies - 1)
            assert scales == sorted(scales)
    ids, offsets = builder.ids("train", 0, 4)
    wanted_ids, wanted_offsets = encode_batch(pa.array(rows))
    np.testing.assert_array_equal(ids, wanted_ids)
    np.testing.assert_array_equal(offsets, wanted_offsets)


@pytest.mark.parametrize(("config", "rows"), [("lorenz-tiny", 4000), ("lorenz-xsmall", 3000), ("lorenz", 40)])
@pytest.mark.parametrize("generator", ["portable", "microcosm"])
def test_ids_are_those_of_the_text(config, rows, generator):
    builder = lorenz.Lorenz(lorenz.CONFIGS[config].model_copy(update={"generator": generator}))
    rows = rows if generator == "portable" else 20
    ids, offsets = lorenz.world_ids(builder, "test", 7, 7 + rows)
    wanted = encode_batch(builder.block("test", 7, 7 + rows).rows["text"])
    assert (ids.dtype, offsets.dtype) == (np.uint16, np.int64)
    np.testing.assert_array_equal(ids, wanted[0])
    np.testing.assert_array_equal(offsets, wanted[1])


def test_the_card_says_who_made_the_rows_and_how():
    euler, rk4 = (corpus(integrator=integrator).summary for integrator in ("euler", "rk4"))
    assert "explicit Euler" in euler
    assert "1–4 %" in euler
    assert "Runge–Kutta" in rk4
    assert "crude" not in rk4
    assert "`portable`" in euler
    assert "`microcosm`" in corpus(generator="microcosm").summary


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_rounding_without_branches_is_rounding():
    numbers = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(float)
    middles = (numbers[:-1] + numbers[1:]) / 2
    others = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    numbers = [*numbers, *middles, *np.nextafter(middles, 0), *np.nextafter(middles, 1e9), 65519.99, 65520.0, np.inf]
    for number in [*numbers, *others[np.isfinite(others)], 5e-324]:
        for signed in (number, -number):
            with np.errstate(all="ignore"):
                wanted = np.float16(signed)
            value = halves.rounded(signed)
            assert np.float64(value).tobytes() == np.float64(wanted).tobytes()
            if np.isfinite(wanted):
                assert halves.bits_of(value) == int(wanted.view(np.uint16))


def frames_of(matrix):
    old, new = matrix.shape
    size, length = min(matrix.shape), max(*matrix.shape, svd.MOST)
    long, left, right = (np.zeros((svd.MOST, length)) for _ in range(3))
    long[:size, : max(old, new)] = matrix.T if old >= new else matrix
    bands = np.zeros((5, length))
    svd.frames(old, new, long, np.zeros((svd.MOST, svd.MOST)), bands, left, right)
    return left[:size, :old].T, bands[0, :size], right[:size, :new]


@pytest.mark.parametrize("old", [1, 2, 3, 6, 9, 12, 15])
@pytest.mark.parametrize("new", [1, 2, 3, 4, 5, 6, 9, 15, 27, 28, 39, 1000])
def test_singular_vectors_have_lapacks_signs(old, new):
    """Some signs in ten thousand hang on the last bits, and differ between two kernels of one BLAS too."""
    matrices = np.random.default_rng(old * 1001 + new).standard_normal((4 if new == 1000 else 60, old, new))
    flipped, vectors = 0, 0
    for matrix in matrices:
        left, values, right = frames_of(matrix)
        wanted_left, wanted, wanted_right = np.linalg.svd(matrix, full_matrices=False)
        np.testing.assert_allclose(values, wanted, rtol=1e-11)
        signs = np.sign((left * wanted_left).sum(axis=0))
        np.testing.assert_allclose(left * signs, wanted_left, atol=1e-9)
        np.testing.assert_allclose(right * signs[:, None], wanted_right, atol=1e-9)
        flipped, vectors = flipped + (signs < 0).sum(), vectors + len(signs)
    assert flipped <= max(2 * min(old, new) // 3, 0.004 * vectors)


def test_signs_agree_in_more_than_999_of_1000():
    flipped = vectors = 0
    for shape, count in (((3, 5), 1500), ((6, 4), 1000), ((6, 9), 1000), ((15, 30), 150)):
        matrices = np.random.default_rng(1).standard_normal((count, *shape))
        wanted = np.linalg.svd(matrices, full_matrices=False)[0]
        ours = np.array([frames_of(matrix)[0] for matrix in matrices])
        flipped, vectors = flipped + ((ours * wanted).sum(axis=1) < 0).sum(), vectors + wanted.shape[2] * count
    assert flipped < 0.001 * vectors


def test_matrices_with_zeros_have_frames():
    for matrix in (np.zeros((3, 3)), np.eye(3, 5), np.diag([1.0, 0.0, 2.0]), np.ones((6, 4))):
        left, values, right = frames_of(matrix)
        np.testing.assert_allclose(left * values @ right, matrix, atol=1e-14)


# --- the distribution ------------------------------------------------------------------------------------------------


def drawn(generator, options, rows):
    builder = corpus(**options, generator=generator, seed=11)
    found: dict[str, list] = {}
    blocks = [builder.block("train", start, min(start + 1024, rows)) for start in range(0, rows, 1024)]
    for row in (row for block in blocks for row in block.rows.to_pylist()):
        world = parsed(row["text"])
        left, scales, right = world["description"]["embedding"]
        normalization = world["description"]["normalization"]
        for params, point, multip in zip(row["params"], row["init_point"], row["step_multip"], strict=True):
            for name, value in zip(("σ", "β", "ρ", "x", "y", "z"), params + point, strict=True):
                found.setdefault(name, []).append(value)
                found.setdefault(f"{name}²", []).append(value * value)
            found.setdefault("multip", []).append(multip)
            for exponent in range(6):
                found.setdefault(f"multip {1 << exponent}", []).append(multip == 1 << exponent)
        found.setdefault("systems", []).append(len(row["params"]))
        found.setdefault("columns", []).append(len(world["data"][0]))
        found.setdefault("characters", []).append(len(row["text"]))
        found.setdefault("hierarchies", []).append(len(set(scales)))
        found.setdefault("tens", []).append(10.0 in scales)
        found.setdefault("hundreds", []).append(100.0 in scales)
        for name, values in (("mean", normalization[0]), ("deviation", normalization[1])):
            found.setdefault(f"{name} of x", []).append(values[0])
            found.setdefault(f"{name} of z", []).append(values[2])
        found.setdefault("first", []).append(world["data"][0][0])
        found.setdefault("last²", []).append(min(world["data"][-1][-1] ** 2, 1e4))
        shape = f"{len(left)}×{len(right[0])}"
        for name, frame in (("l", left), ("r", right)):
            found.setdefault(f"{name} {shape} first < 0", []).append(frame[0][0] < 0)
            found.setdefault(f"{name} {shape} last < 0", []).append(frame[-1][-1] < 0)
            found.setdefault(f"{name} {shape} first", []).append(frame[0][0])
    return {name: np.array(values, float) for name, values in found.items()}


@cache
def both():
    return drawn("microcosm", XSMALL, 1500), drawn("portable", XSMALL, 6000)


def test_everything_drawn_has_the_same_distribution():
    """Means (and so frequencies) within four and a half standard errors, of some two hundred quantities."""
    microcosm, portable_ = both()
    assert microcosm.keys() == portable_.keys()
    assert len(microcosm) > 100
    for name, ours in portable_.items():
        theirs = microcosm[name]
        pooled = np.concatenate([ours, theirs]).var()
        error = np.sqrt(pooled * (1 / len(ours) + 1 / len(theirs)))
        assert abs(ours.mean() - theirs.mean()) <= 4.5 * error, name


def test_frames_are_biased_as_lapacks_are():
    """P(l[0, 0] < 0) = 0.94 for 3 × 5; a fair coin would be a different corpus."""
    _, portable_ = both()
    signs = portable_["l 3×5 first < 0"]
    assert len(signs) > 300
    assert abs(signs.mean() - 0.94) < 4 * np.sqrt(0.94 * 0.06 / len(signs))


@pytest.mark.parametrize(("multip", "rate"), [(1, 0.0), (2, 0.001), (4, 0.098), (8, 0.308), (16, 0.334), (32, 0.334)])
def test_tries_are_rejected_as_often(multip, rate):
    """Of one system's tries, by step_multip: the rates of the originals, known to three digits."""
    options = {"num_steps": 40, "max_sys": 1, "step_multip": multip, "retries": 1, "change_dim": False}
    block = corpus(**options).block("train", 0, 8000)
    tries = 8000 + block.rejected
    assert abs(block.rejected / tries - rate) < 4 * np.sqrt(max(rate, 0.001) / tries) + 0.002


def test_worlds_are_dropped_as_often():
    rejected = corpus(**XSMALL).block("train", 0, 20_000).rejected
    assert abs(rejected / 20_000 - 0.00307) < 4 * np.sqrt(0.00307 / 20_000)


def test_runge_kutta_is_nearer_to_the_truth_than_euler():
    options = {"num_steps": 30, "max_sys": 1, "normalize": False, "step_multip": 8, "change_dim": False}
    options |= {"rotate": False, "dilate": False, "rotate_again": False}

    def worlds(integrator):
        return [parsed(text) for text in texts(corpus(**options, integrator=integrator), 30)]

    errors = {}
    for integrator in ("euler", "rk4"):
        errors[integrator] = []
        for world in worlds(integrator):
            system = world["description"]["sys0"]
            truth = finely(system, 30)
            data = np.array(world["data"])
            errors[integrator].append(np.abs(data - truth).max() / np.abs(truth).max())
    assert np.median(errors["rk4"]) < 1e-3 < 5e-3 < np.median(errors["euler"])


def finely(system, steps):
    """The orbit at the observed times, by Runge–Kutta steps a quarter as long."""
    (sigma, beta, rho), p = system["params"], np.array(system["init_point"])
    points, h = [], 1.0 / 2800.0

    def slope(p):
        return np.array([sigma * (p[1] - p[0]), rho * p[0] - p[1] - p[0] * p[2], p[0] * p[1] - beta * p[2]])

    for count in range(steps * 4 * system["step_multip"]):
        if count % (4 * system["step_multip"]) == 0:
            points.append(p)
        a = slope(p)
        b = slope(p + h / 2 * a)
        c = slope(p + h / 2 * b)
        p = p + h / 6 * (a + 2 * (b + c) + slope(p + h * c))
    return np.array(points)
