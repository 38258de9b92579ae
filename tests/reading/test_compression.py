"""Compression told by content, archives that are cut, damaged, or none at all."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.files import file_sha256
from hubkit.reading import Digest
from hubkit.reading.chunks import Feed, sliced
from hubkit.reading.compression import plain
from hubkit.reading.record import Fault

from .conftest import jsonl, texts

COMPRESS = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
WORDS = [f"{number} {random.Random(number).random()}" for number in range(3000)]


def streamed_zstd(data: bytes) -> bytes:
    """Compress with checksum, without the size of the content, a small window, and flushes: many kinds of blocks."""
    parameters = zstandard.ZstdCompressionParameters(write_checksum=True, write_content_size=False, window_log=10)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    parts = []
    for start in range(0, len(data), 7000):
        parts += [compressor.compress(data[start : start + 7000]), compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join(parts) + compressor.flush()


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("file", ["x.jsonl", "x.jsonl.gz", "x.zst"])
def test_any_compression_under_any_name(read, name, file):
    assert texts(read(COMPRESS[name](jsonl("a", "b")), file)) == ["a", "b"]


@pytest.mark.parametrize("name", COMPRESS)
def test_several_streams_in_one_file(read, name):
    content = b"".join(COMPRESS[name](jsonl(text)) for text in ("a", "b")) + COMPRESS[name](b"") + COMPRESS[name](b"\n")
    assert texts(read(content)) == ["a", "b"]


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, -1])
def test_what_is_cut_short_keeps_what_came_before(read, name, share):
    compressed = COMPRESS[name](b"".join(jsonl(word) for word in WORDS))
    cut = compressed[: int(len(compressed) * share)] if share > 0 else compressed[:-1]
    digest = Digest()
    *good, bad = read(cut, digest=digest)
    assert texts(good) == WORDS[: len(good)]
    assert bad.whole
    assert bad.reason == f"cut short: the {name} data end before their end; fetch the file again"
    assert (bad.position, bad.line) == (len(good), len(good) + 1)
    assert digest.bytes == len(cut)
    if name == "gzip":
        assert len(good) > share * 2500


def test_a_record_that_is_whole_before_the_cut_is_kept(read):
    *good, bad = read(gzip.compress(jsonl("a", "b")[:-1])[:-8])
    assert (texts(good), bad.position, bad.kind) == (["a", "b"], 2, "cut short")
    *good, bad = read(gzip.compress(b"one\ntwo\nthre")[:-8], format="lines")
    assert (texts(good), bad.raw, bad.position, bad.line) == (["one", "two"], b"thre", 2, 3)


@pytest.mark.parametrize("compress", [gzip.compress, streamed_zstd])
def test_a_wrong_checksum_loses_nothing(read, compress):
    compressed = bytearray(compress(b"".join(jsonl(word) for word in WORDS)))
    compressed[-8 if compress is gzip.compress else -1] ^= 1
    *good, bad = read(bytes(compressed))
    assert texts(good) == WORDS
    assert (bad.kind, bad.whole) == ("damaged", True)


@pytest.mark.parametrize("name", COMPRESS)
def test_damage_within(read, name):
    compressed = bytearray(COMPRESS[name](b"".join(jsonl(word) for word in WORDS)))
    compressed[len(compressed) // 2 : len(compressed) // 2 + 40] = bytes(40)
    records = read(bytes(compressed))
    assert records[-1].whole
    assert records[-1].kind in ("damaged", "cut short")


@given(st.binary(max_size=3000).map(lambda data: data * 50), st.integers(1, 5000), st.data())
@settings(max_examples=60, deadline=None)
def test_zstd_block_by_block(data, size, choice):
    data = b"x" + data  # or else it may begin as another archive does
    compressed = streamed_zstd(data)
    assert b"".join(plain(sliced(iter([compressed]), size))) == data
    cut = compressed[: choice.draw(st.integers(4, len(compressed) - 1))]
    found = []
    with pytest.raises(Fault, match="cut short"):
        found.extend(plain(sliced(iter([cut]), size)))
    assert data.startswith(b"".join(found))


@given(st.binary(max_size=5000), st.sampled_from(sorted(COMPRESS)), st.integers(1, 3000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_chunks_of_any_size(data, name, size):
    data = b"x" + data
    assert b"".join(plain(sliced(iter([COMPRESS[name](data)]), size))) == data


def test_zstd_runs_of_tiny_blocks_come_out_in_bounded_chunks():
    compressed = zstandard.compress(bytes(200_000_000))
    assert len(compressed) < 20_000
    chunks = plain(iter([b"".join([compressed])]))
    assert max(map(len, chunks)) < 2**21


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])
def test_bombs_come_out_in_bounded_chunks(name):
    compressed = COMPRESS[name](bytes(30_000_000))
    sizes = [len(chunk) for chunk in plain(iter([compressed]))]
    assert (sum(sizes), max(sizes) < 2**22) == (30_000_000, True)


def test_frames_to_skip_and_long_windows(read):
    skipped = struct.pack("<II", 0x184D2A53, 100_000) + bytes(100_000)
    parameters = zstandard.ZstdCompressionParameters(window_log=31, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    long = compressor.compress(jsonl("b")) + compressor.flush()
    assert texts(read(skipped + zstandard.compress(jsonl("a")) + skipped + long)) == ["a", "b"]
    (bad,) = read(skipped[:-1])
    assert bad.kind == "cut short"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.jsonl", jsonl("a"))
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("x.jsonl")
        member.size = 14
        archive.addfile(member, io.BytesIO(jsonl("a")))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped(), "a zip archive; unpack it"),
        (tarred(), "a tar archive; unpack it"),
        (gzip.compress(tarred()), "a tar archive; unpack it"),
        (parquet(), "a Parquet file; convert it to JSON Lines"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "an image; leave it out"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS, not the file; run git"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html>", "an HTML page"),
        (gzip.compress(zstandard.compress(jsonl("a"))), "compressed twice: zstd within gzip"),
        (bytes(100) + b"x", "binary data"),
    ],
    # Names of their own, for gzip writes the time into the content, and two workers must collect the same tests.
    ids=["zip", "tar", "tar.gz", "parquet", "png", "lfs", "html", "zst.gz", "binary"],
)
def test_what_is_no_text_is_refused_by_name(read, content, reason):
    digest = Digest()
    (record,) = read(content, digest=digest)
    assert record.whole
    assert reason in record.reason
    assert (digest.bytes, record.raw) == (len(content), record.raw and record.raw[:1000])


def test_the_digest_is_of_the_stored_bytes(read, tmp_path):
    digest = Digest()
    read(gzip.compress(jsonl("a", "b")) + b"garbage" * 1_000_000, "y.gz", digest=digest)
    assert digest.sha256 == file_sha256(tmp_path / "y.gz")


def test_an_unfinished_digest_is_not_given_out():
    with pytest.raises(AssertionError, match="not read to its end"):
        _ = Digest().sha256


def test_feed():
    feed = Feed(iter([b"ab", b"", b"cdef", b"g"]))
    assert (feed.peek(3), feed.take(3), feed.skip(2), feed.take(5), feed.skip(1)) == (
        b"abc",
        b"abc",
        True,
        b"fg",
        False,
    )
