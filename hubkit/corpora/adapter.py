"""The same rows through `datasets`' own builder interface: `download_and_prepare`, `as_dataset`, streaming.

    builder = dataset_builder("lorenz-tiny")
    builder.download_and_prepare(num_proc=2)
    rows = builder.as_dataset(split="train")

The engine in :mod:`hubkit.corpora.build` is what publishes (resumable, hashed); this adapter is for code that already
speaks `datasets`.
"""

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from hubkit import __version__
from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.corpora.job import prepare
from hubkit.corpora.registry import find, restore
from hubkit.specs import canonical_json


@dataclass
class CorpusConfig(datasets.BuilderConfig):
    """A `BuilderConfig` that carries a spec."""

    reference: str = ""
    spec: dict[str, Any] | None = None
    prepared: str = ""
    """Where the preparation lies (see :class:`hubkit.corpora.builder.CorpusBuilder`)."""
    identity: str = ""
    """Hash of all that the rows depend on, so that caches never mix two specs or two versions of a generator."""

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        """Return the name under which `datasets` caches this config."""
        return f"{self.name}-{self.identity[:16]}"


class CorpusDataset(datasets.ArrowBasedBuilder):
    """Any hubkit corpus as a `datasets` builder; make one with :func:`dataset_builder`."""

    BUILDER_CONFIG_CLASS = CorpusConfig
    VERSION = datasets.Version(__version__)
    config: CorpusConfig

    def _builder(self) -> CorpusBuilder:
        builder = restore(self.config.reference, self.config.spec or {})
        builder.prepared = Path(self.config.prepared)
        return builder

    def _info(self) -> datasets.DatasetInfo:
        builder = self._builder()
        return datasets.DatasetInfo(
            description=builder.summary, features=datasets.Features.from_arrow_schema(builder.schema)
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        generators = []
        for split, rows in self._builder().rows.items():
            # A list among gen_kwargs is what `datasets` divides among processes.
            starts = list(range(0, rows, BLOCK_ROWS))
            arguments = {"split": split, "starts": starts, "rows": rows}
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        return generators

    def _generate_tables(self, split: str, starts: list[int], rows: int) -> Iterator[tuple[Any, pa.Table]]:
        builder = self._builder()
        for start in starts:
            for block in builder.blocks(split, start, min(rows, start + BLOCK_ROWS)):
                yield (start,), pa.Table.from_batches([block.rows])


def dataset_builder(target: str, overrides: Iterable[str] = (), cache_dir: str | None = None) -> CorpusDataset:
    """Return a `datasets` builder of a corpus.

    Args:
        target: A named config, spec file or builder file, as for `hubkit build`.
        overrides: Assignments such as ``num_steps=50``.
        cache_dir: Where `datasets` keeps what it prepares.

    Raises:
        UserError: Nothing of that name, or an impossible spec.
    """
    corpus = find(target, overrides)
    builder = corpus.builder
    folder = tempfile.mkdtemp(prefix="hubkit-")
    try:
        prepare(builder, Path(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    parts = [builder.spec.sha256, builder.version, builder.numerics(), *(source.sha256 for source in builder.sources())]
    dataset = CorpusDataset(
        dataset_name=builder.name,
        config_name=corpus.config or builder.name,
        cache_dir=cache_dir,
        reference=corpus.reference,
        spec=builder.spec.model_dump(mode="json"),
        prepared=str(builder.prepared),
        identity=hashlib.sha256(canonical_json(parts).encode()).hexdigest(),
    )
    weakref.finalize(dataset, shutil.rmtree, folder, True)
    return dataset
