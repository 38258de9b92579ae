"""Fractional Brownian motion: the covariance that makes it one, and levels that are those of the path."""

from decimal import Decimal, localcontext
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.sequences._circulant import autocovariance, embedding, transform, twiddles
from hubkit.sequences._ziggurat import fill_normals, layers
from hubkit.sequences.base import Range
from hubkit.sequences.fbm import FractionalBrownianMotion

from .drawn import KEY, assert_sequences_stand_alone, assert_well_formed, golden, key_of, sequences

HURST = st.floats(0.001, 0.999)
SOME = settings(max_examples=60, deadline=None)


def true_autocovariance(hurst: float, lag: int) -> float:
    """½(|k+1|^2H - 2|k|^2H + |k-1|^2H) in fifty digits."""
    with localcontext() as context:
        context.prec = 50
        powers = [Decimal(abs(k)) ** (2 * Decimal(hurst)) if k else Decimal(0) for k in (lag - 1, lag, lag + 1)]
        return float((powers[0] - 2 * powers[1] + powers[2]) / 2)


def slow_ranks(steps: list[float], length: int, ratio: float) -> list[int]:
    """Digitise a path and count the levels that it visits from the lowest up."""
    path, at = [], 0.0
    for step in steps[:length]:
        at = at + step if path else step
        path.append(at)
    count = max(1, int(length / ratio + 0.5))
    width = (max(path) - min(path)) / count
    levels = [min(int((at - min(path)) / width), count - 1) if width else 0 for at in path]
    visited = sorted(set(levels))
    return [visited.index(level) for level in levels]


@pytest.mark.parametrize(
    ("domain", "rows"),
    [
        (FractionalBrownianMotion(length=Range(min=1, max=100), hurst=0.3), "c57042ed85ed7d3f"),
        (FractionalBrownianMotion(length=100, hurst=0.8, shuffled=False), "3a6789d33a69fb2b"),
    ],
)
def test_the_rows_are_these_for_ever(domain, rows):
    assert golden(domain) == rows


def test_sequences_stand_alone():
    assert_sequences_stand_alone(FractionalBrownianMotion(length=Range(min=1, max=40), hurst=0.7))
    assert_sequences_stand_alone(FractionalBrownianMotion(length=33, hurst=0.2, shuffled=False))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(0, 60), HURST, st.floats(0.5, 20), st.booleans(), st.integers(0, 2**63))
def test_tokens_are_the_levels_of_the_path(least, width, hurst, ratio, shuffled, seed):
    length = Range(min=least, max=least + width)
    values = {"length": length, "hurst": hurst, "discretize_ratio": ratio}
    domain = FractionalBrownianMotion(**values, shuffled=shuffled, vocabulary=400)
    drawn = sequences(domain, 4, seed=seed)
    assert_well_formed(domain, drawn)
    steps = np.array([domain.increments(key_of(seed), np.array([i], np.uint64))[0] for i in range(4)])
    for i in range(4):
        tokens = drawn.sequence(i).tolist()
        assert length.min <= len(tokens) <= length.max
        ranks = slow_ranks(steps[i].tolist(), len(tokens), ratio)
        names = dict(zip(ranks, tokens, strict=True))
        assert len(set(names.values())) == len(names)  # no two levels share a token
        assert tokens == [names[rank] for rank in ranks]
        assert shuffled or tokens == ranks


def test_lengths_are_told_without_the_tokens():
    domain = FractionalBrownianMotion(length=Range(min=3, max=90))
    indices = np.arange(50, dtype=np.uint64)
    assert domain.lengths(KEY, indices).tolist() == np.diff(domain.generate(KEY, indices).offsets).tolist()


@pytest.mark.parametrize("hurst", [0.05, 0.3, 0.5, 0.75, 0.95])
def test_increments_have_the_covariance_of_the_formula(hurst):
    count, points = 20_000, 24
    steps = FractionalBrownianMotion(length=points, hurst=hurst).increments(KEY, np.arange(count, dtype=np.uint64))
    expected = np.array([[true_autocovariance(hurst, abs(i - j)) for i in range(points)] for j in range(points)])
    found = steps[:, :points].T @ steps[:, :points] / count
    errors = np.sqrt((1 + expected**2) / count)  # of a mean of products of normals of variance 1
    assert (np.abs(found - expected) < 5 * errors).all()


@pytest.mark.parametrize("hurst", [0.2, 0.5, 0.8])
def test_paths_spread_with_the_power_of_time(hurst):
    steps = FractionalBrownianMotion(length=512, hurst=hurst).increments(KEY, np.arange(6000, dtype=np.uint64))
    paths = np.cumsum(steps, axis=1)
    for time in (1, 8, 64, 512):
        assert np.var(paths[:, time - 1]) == pytest.approx(time ** (2 * hurst), rel=5 * (2 / 6000) ** 0.5)


def test_the_two_sequences_of_a_pair_are_independent():
    steps = FractionalBrownianMotion(length=16, hurst=0.8).increments(KEY, np.arange(20_000, dtype=np.uint64))
    cross = steps[::2, :16].T @ steps[1::2, :16] / 10_000
    assert np.abs(cross).max() < 0.06


def test_half_is_brownian_motion():
    """Then the covariance is 1 at lag 0 and else 0, all eigenvalues are 1, and the noise stays white."""
    assert autocovariance(0.5, 100).tolist() == pytest.approx([1.0] + [0.0] * 99, abs=3e-16)
    scales = embedding(0.5, 64).scales
    np.testing.assert_allclose(scales, np.full(len(scales), len(scales) ** -0.5), rtol=1e-15)


@SOME
@given(HURST, st.integers(0, 5000))
@example(0.5, 0)
def test_the_autocovariance_is_that_of_the_formula(hurst, lag):
    truth = true_autocovariance(hurst, lag)
    assert autocovariance(hurst, lag + 1)[lag] == pytest.approx(truth, rel=2e-14, abs=1e-15)


@SOME
@given(st.one_of(HURST, st.sampled_from([1e-9, 1 - 1e-9])), st.integers(1, 3000))
def test_the_embedding_has_the_eigenvalues_of_its_matrix(hurst, points):
    scales = embedding.__wrapped__(hurst, points).scales
    size = len(scales)
    assert points <= size // 2 < max(4, 4 * points)
    row = autocovariance(hurst, size // 2 + 1)
    eigenvalues = np.fft.fft(np.concatenate([row, row[-2:0:-1]])).real
    assert eigenvalues.min() > -1e-9 * eigenvalues.max()  # never negative but for rounding
    found = np.sort(scales**2 * size)
    np.testing.assert_allclose(found, np.sort(np.maximum(eigenvalues, 0)), atol=1e-11 * size, rtol=0)


@pytest.mark.parametrize("bits", range(2, 13))
def test_the_transform_is_fourier_s(bits):
    size = 2**bits
    random = np.random.default_rng(bits)
    values = random.standard_normal(size) + 1j * random.standard_normal(size)
    order = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(size)]
    real, imag = values.real[order].copy(), values.imag[order].copy()
    transform(real, imag, *twiddles(size))
    np.testing.assert_allclose(real + 1j * imag, np.fft.fft(values), atol=1e-13 * size**0.5)


def test_the_layers_of_normals_have_equal_areas():
    widths, heights = layers()
    areas = widths[1:-1] * np.diff(heights)[1:]
    density_beyond = NormalDist().cdf(-widths[1]) * (2 * np.pi) ** 0.5
    np.testing.assert_allclose(areas, areas[0], rtol=1e-9)
    assert widths[1] * heights[1] + density_beyond == pytest.approx(areas[0], rel=1e-9)
    assert widths[0] * heights[1] == pytest.approx(areas[0], rel=1e-9)
    np.testing.assert_allclose(heights[1:], np.exp(-0.5 * widths[1:] ** 2), rtol=1e-14)


def test_normals_are_normal():
    state, draws = np.array([1, 2, 3, 5], np.uint64), np.empty(2_000_000)
    fill_normals(state, *layers(), draws)
    cells = 200
    counts = np.histogram(draws, [-np.inf, *(NormalDist().inv_cdf(k / cells) for k in range(1, cells)), np.inf])[0]
    expected = len(draws) / cells
    assert abs(((counts - expected) ** 2 / expected).sum() - (cells - 1)) < 5 * (2 * (cells - 1)) ** 0.5
    for edge in (3.0, 3.6541528853610088, 4.0, 4.5):  # wedges, and the tail
        share = NormalDist().cdf(-edge)
        for side in (draws, -draws):
            assert abs((side > edge).sum() - share * len(draws)) < 5 * (share * len(draws)) ** 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({"hurst": h}, "hurst: the Hurst exponent must lie between 0 and 1, both excluded") for h in (0, 1, -0.5, 2)),
        ({"hurst": float("nan")}, "hurst: "),
        ({"discretize_ratio": 0}, "discretize_ratio: .*greater than 0"),
        (
            {"discretize_ratio": 1},
            "discretize_ratio: 512 tokens at a ratio of 1 can have 512 levels, and the",
        ),
        ({"length": 0}, "length: min: 0 allows"),
    ],
)
def test_what_is_impossible_is_refused_by_name(values, message):
    with pytest.raises(UserError, match=message):
        FractionalBrownianMotion.build(values)
