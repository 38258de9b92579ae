"""Random numbers: addressed by key, item and attempt; the same on every machine and for ever."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.randomness import Randoms, generator, item_seed, item_seeds, stream_key

WORD = st.integers(0, 2**64 - 1)
KEY = st.integers(0, 2**128 - 1)


def plain_block(key: int, low: int, index: int, attempt: int) -> list[int]:
    """Philox-4x64-10 as the paper has it: the four words for one counter."""
    c, k = [low, 0, index, attempt], [key % 2**64, key >> 64]
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [p1 >> 64 ^ c[1] ^ k[0], p1 % 2**64, p0 >> 64 ^ c[3] ^ k[1], p0 % 2**64]
        k = [(k[0] + 0x9E3779B97F4A7C15) % 2**64, (k[1] + 0xBB67AE8584CAA73B) % 2**64]
    return c


def words(key: int, index: int, attempt: int, count: int) -> list[int]:
    return generator(key, index, attempt).bit_generator.random_raw(count).tolist()


def test_the_key_of_a_stream_is_the_hash_of_its_parts():
    digest = hashlib.sha256(b'[0,"lorenz","1","train"]').digest()
    assert stream_key(0, "lorenz", "1", "train") == int.from_bytes(digest[:16], "little")
    assert stream_key(0, "lorenz", "1", "train") == 0xABCB40D3BD4D257D7829BC65B1C819C2


def test_no_two_lists_of_parts_share_a_key():
    parts = [(1, 2), (12,), ("12",), ("1", "2"), (1, "2"), ("1,2",), ('1","2',), (), ("",), ("", ""), ("train", 0)]
    assert len({stream_key(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("index", "attempt", "first_words"),
    [
        (0, 0, [0x00E8F1DB5BB33C96, 0x52C8F6AB488E0EFF, 0x99312BEB19B8E915, 0xBF3913568183000B]),
        (1, 0, [0x4BAF606600DA06CB, 0xBED323AC9C6C2F9A, 0x500B9928D910BBC7, 0xA7AB87CF915C766C]),
        (0, 1, [0x0B392674B035FF6E, 0x9D0EB467C33F3915, 0xE08CCFAF9D68581D, 0x103B66932B4AB128]),
        (2**40, 999, [0xC449A6C47E73C580, 0xB99C6137DD5F1BB1, 0x65554D9D439F9914, 0x837818409F8DF3C9]),
    ],
)
def test_the_words_are_these_for_ever(index, attempt, first_words):
    key = stream_key(0, "golden", "1", "train")
    assert words(key, index, attempt, 4) == first_words
    assert item_seed(key, index, attempt) == first_words[0] << 64 | first_words[1]


@given(KEY, WORD, WORD)
def test_words_are_those_of_the_paper(key, index, attempt):
    first = plain_block(key, 1, index, attempt)
    assert words(key, index, attempt, 8) == first + plain_block(key, 2, index, attempt)
    assert item_seed(key, index, attempt) == first[0] << 64 | first[1]


@settings(max_examples=50)
@given(KEY, st.lists(WORD, max_size=40), WORD)
def test_many_seeds_at_once_are_the_same_seeds(key, indices, attempt):
    assert item_seeds(key, indices, attempt) == [item_seed(key, index, attempt) for index in indices]


def test_a_whole_block_of_seeds_is_the_same_seeds():
    key = stream_key(7, "block")
    for start, attempt in ((0, 0), (2**32 - 512, 3), (2**63 - 512, 0)):
        block = range(start, start + 1024)
        assert item_seeds(key, block, attempt) == [item_seed(key, index, attempt) for index in block]


addresses = st.tuples(KEY, WORD, WORD)


@settings(max_examples=50)
@given(st.lists(st.tuples(addresses, st.integers(0, 9)), min_size=1, max_size=12), st.booleans())
def test_uniforms_of_many_items_are_those_of_their_generators(items, again):
    items = items * 2 if again else items
    randoms = Randoms([address for address, _ in items])
    expected = np.concatenate([generator(*address).random(count) for address, count in items])
    for _ in range(2):
        assert np.array_equal(randoms.uniforms([count for _, count in items]), expected)


def test_items_attempts_splits_seeds_and_versions_share_nothing():
    keys = [
        stream_key(seed, name, version, split)
        for seed in (0, 1)
        for name in ("walks", "lorenz")
        for version in ("1", "2")
        for split in ("train", "test")
    ]
    indices = [*range(100), *(2**power for power in range(7, 64))]
    seeds = [seed for key in keys for attempt in (0, 1, 2, 999) for seed in item_seeds(key, indices, attempt)]
    assert len(set(seeds)) == len(seeds) == len(keys) * 4 * len(indices)
    halves = [half for seed in seeds for half in (seed >> 64, seed % 2**64)]
    assert len(set(halves)) == len(halves)


def test_neighbours_do_not_overlap_however_much_they_draw():
    key = stream_key(0, "overlap")
    streams = [words(key, index, attempt, 4000) for index, attempt in itertools.product((0, 1, 2), (0, 1))]
    assert len({word for stream in streams for word in stream}) == 6 * 4000


def test_a_generator_is_fresh_each_time():
    first, second = generator(5, 3), generator(5, 3)
    first.normal(size=100)
    assert second.integers(0, 2**63, 5).tolist() == generator(5, 3).integers(0, 2**63, 5).tolist()


def test_bits_are_balanced():
    """Each of the 128 bits of 20,000 seeds is set about half of the time: 5 standard deviations are 0.0177."""
    seeds = np.array([[seed >> 64, seed % 2**64] for seed in item_seeds(stream_key("bits"), range(20_000))], np.uint64)
    bits = np.unpackbits(seeds.view(np.uint8), axis=1)
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.0177
