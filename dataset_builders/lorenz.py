"""Lorenz worlds: one or more Lorenz systems, watched through a random linear embedding, as one line of text each.

A row is the `repr` of a Python dict (single quotes, a blank after each comma), so that a masked language model can be
asked for any number in it::

    {'description': {'num_sys': n, 'sys0': {'params': [σ, β, ρ], 'init_point': [x, y, z], 'step_size': 700,
     'name': 'lorenz', 'step_multip': m}, …, 'normalization': [mean, std], 'embedding': [l, diag, r]}, 'data': [[…], …]}

`data` holds a row for each observed step: the systems' coordinates side by side, each column normalised, times the
frame l, the scales diag and the frame r. Every number is a float16, written with the fewest digits that name it, so
that whoever reads the numbers back has the very values that the generator went on with.

Two generators make them, of one distribution:

- ``portable``: one compiled loop for many worlds, the same bytes on every machine, with singular vectors of its own
  that have the signs of LAPACK's (`_lorenz_portable.py` and what it loads);
- ``microcosm``: the rows of the Microcosm corpora to the byte, whose frames hang on a LAPACK (`_lorenz_microcosm.py`).
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.builder import MAX_ATTEMPTS, Block, CorpusBuilder
from hubkit.errors import UserError
from hubkit.randomness import item_seeds, stream_key
from hubkit.resources import load_module
from hubkit.tokenizers.lorenz import encode_batch

# One name each, whatever name this file goes by: Numba's cache finds the modules of its functions again by them.
_HERE = Path(__file__)
physics = load_module(_HERE.with_name("_lorenz_physics.py"), "hubkit_lorenz_physics")
halves = load_module(_HERE.with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
microcosm = load_module(_HERE.with_name("_lorenz_microcosm.py"), "hubkit_lorenz_microcosm")
portable = load_module(_HERE.with_name("_lorenz_portable.py"), "hubkit_lorenz_portable")
spec = load_module(_HERE.with_name("_lorenz_spec.py"), "hubkit_lorenz_spec")
WorldSpec = spec.WorldSpec
LorenzSpec = spec.LorenzSpec

# --- single worlds ---------------------------------------------------------------------------------------------------


def _text(seed: int, spec: WorldSpec) -> str | None:
    """Return the world of a seed, or None where it is dropped."""
    if spec.generator == "microcosm":
        (world,) = microcosm.draw_worlds([seed], spec)
        return None if world is None else world.text
    try:
        drawn = _draw(stream_key(seed), range(1), spec, attempts=1)
    except portable.Hopeless:
        return None
    return str(drawn.bytes.data, "ascii")


def _draw(key: int, indices: range, spec: WorldSpec, attempts: int = MAX_ATTEMPTS, as_ids: bool = False) -> Any:
    """Return worlds of the portable generator (see :func:`hubkit_lorenz_portable.draw_block`)."""
    return portable.draw_block(key, indices, attempts, portable.plan_of(spec), portable.PHYSICS, as_ids)


@lru_cache(maxsize=64)
def _world_spec(options: tuple[tuple[str, Any], ...]) -> WorldSpec:
    return WorldSpec.build(dict(options), origin="sample_world")


def sample_world(seed: int, *, graceful_fail: bool = True, **options: Any) -> str:
    """Return the world of a seed as one line of text, without the line's end: by default, Microcosm's.

    Args:
        seed: An integer from 0 on; the same seed and options give the same text.
        graceful_fail: What to do where a system is rejected `retries` times: return ``{}``, or raise.
        **options: Fields of :class:`WorldSpec`; those left out have its defaults (the full pipeline, 500 steps), but
            the generator is ``microcosm`` unless it is named.

    Raises:
        UserError: An option is unknown or impossible, the seed is not an integer from 0 on, or the world is dropped and
            `graceful_fail` is false. The message names the field, the value and the mend.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"sample_world: seed={seed!r} is not an integer from 0 on")
    options = {"generator": "microcosm"} | options
    try:
        spec = _world_spec(tuple(options.items()))
    except TypeError:  # a value that can't be hashed: let the spec refuse it by name
        spec = WorldSpec.build(options, origin="sample_world")
    text = _text(int(seed), spec)
    if text is not None:
        return text
    if graceful_fail:
        return "{}"
    raise UserError(
        f"sample_world: seed={seed} is dropped, because one of its systems left the ball of radius "
        f"{physics.RADIUS:g} in each of retries={spec.retries} tries; take another seed, raise retries, or set "
        "graceful_fail=True to get '{}'"
    )


# --- named configs ---------------------------------------------------------------------------------------------------

CONFIGS = {
    # For tests and first runs: every row has fewer than 300 tokens, and only the bare orbit fits. Normalising would
    # take 41 tokens more, one frame 56, the scales 8; the longest row has 290.
    "lorenz-tiny": LorenzSpec(
        num_steps=10,
        max_sys=1,
        normalize=False,
        rotate=False,
        dilate=False,
        rotate_again=False,
        change_dim=False,
        splits={"train": 16_000, "validation": 2_000, "test": 2_000},
    ),
    "lorenz-xsmall": LorenzSpec(
        num_steps=40, max_sys=2, max_dim=10, splits={"train": 877_302, "validation": 109_663, "test": 109_663}
    ),
    # Microcosm names no number of rows for its full shape; these come to about 10 GB of text.
    "lorenz": LorenzSpec(splits={"train": 100_000, "validation": 10_000, "test": 10_000}),
}

# --- the family ------------------------------------------------------------------------------------------------------


class Lorenz(CorpusBuilder):
    """Corpora of Lorenz worlds: their text, and what can be asked of it as numbers."""

    name = "lorenz"
    version = "1"
    spec_type = LorenzSpec
    schema = pa.schema(
        {
            "text": pa.string(),
            "params": pa.list_(pa.list_(pa.float64())),
            "init_point": pa.list_(pa.list_(pa.float64())),
            "step_multip": pa.list_(pa.int32()),
        }
    )
    configs = CONFIGS
    tokenizer = "lorenz"
    libraries = ("numpy", "numba", "pyarrow")
    spec: LorenzSpec

    @property
    def summary(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How the rows are made, for a reader of the card; the second stage only where the spec has it."""
        several = "one Lorenz system" if self.spec.max_sys == 1 else "one or more Lorenz systems"
        bare = not (self.spec.rotate or self.spec.dilate or self.spec.rotate_again)
        seen = "written down as they are" if bare else "observed through a random linear embedding"
        rule, how_well = {
            "euler": (
                "explicit Euler",
                "Euler steps of this size are crude: the orbits are a median of 1–4 % off the exact ones.",
            ),
            "rk4": ("fourth-order Runge–Kutta", "Orbits follow the exact ones until chaos parts them."),
        }[self.spec.integrator]
        return (
            f"Each row is a small world: {several} with random parameters and starting points, integrated by {rule} "
            f"steps of 1/{physics.STEP_SIZE} and {seen}. It is written as one Python dict that holds the parameters"
            f"{'' if bare else ', the embedding'} and the observations, so that a language model can be asked for any "
            f"number in it. {how_well} The generator is `{self.spec.generator}`."
        )

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes: 8 a number, and the words around them."""
        spec = self.spec
        systems = (1 + spec.max_sys) / 2
        old = 3 * systems
        new = (spec.new_dim or (spec.min_dim + spec.max_dim - 1) / 2) if spec.change_dim else old
        least = min(old, new)
        columns = new if spec.rotate_again else least
        numbers = spec.num_steps * columns + 2 * old * spec.normalize + least * spec.dilate
        numbers += old * least * spec.rotate + least * new * spec.rotate_again
        return round(120 + 240 * systems + 8 * numbers)

    def row(self, seed: int) -> dict[str, Any] | None:
        """Return the world that ``microcosm`` draws from a seed, or None where it is dropped.

        Returns:
            `text`; `params` (σ, β, ρ) and `init_point` (x, y, z) of each system, as the decimals of the text;
            `step_multip` of each system.
        """
        (world,) = microcosm.draw_worlds([seed], self.spec)
        return None if world is None else _row(world)

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split; those dropped are redrawn together until none is left.

        Raises:
            UserError: A row was dropped `MAX_ATTEMPTS` times.
        """
        if self.spec.generator == "microcosm":
            return self._microcosm_block(split, start, stop)
        drawn = self._drawn(split, start, stop, as_ids=False)
        return Block(_batch(drawn, self.schema), drawn.rejected)

    def ids(self, split: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the token ids of rows `start` to `stop` (exclusive): those of the tokenizer, without making text.

        Returns:
            uint16 ids of all rows, one after the other, and int64 offsets (rows + 1,): where each row begins.

        Raises:
            UserError: A row was dropped `MAX_ATTEMPTS` times.
        """
        if self.spec.generator == "microcosm":
            return encode_batch(self.block(split, start, stop).rows.column("text"))
        drawn = self._drawn(split, start, stop, as_ids=True)
        return drawn.bytes.view("<u2").astype(np.uint16, copy=False), drawn.offsets // 2

    def _drawn(self, split: str, start: int, stop: int, as_ids: bool) -> Any:
        try:
            return _draw(self.stream(split), range(start, stop), self.spec, MAX_ATTEMPTS, as_ids)
        except portable.Hopeless as hopeless:
            raise self._impossible(split, hopeless.args[0]) from None

    def _microcosm_block(self, split: str, start: int, stop: int) -> Block:
        key, pending, rejected = self.stream(split), range(start, stop), 0
        kept: dict[int, Any] = {}
        for attempt in range(MAX_ATTEMPTS):
            worlds = microcosm.draw_worlds(item_seeds(key, pending, attempt), self.spec)
            kept |= {index: world for index, world in zip(pending, worlds, strict=True) if world}
            pending = [index for index in pending if index not in kept]
            if not pending:
                rows = [_row(kept[index]) for index in range(start, stop)]
                return Block(pa.RecordBatch.from_pylist(rows, schema=self.schema), rejected)
            rejected += len(pending)
        raise self._impossible(split, pending[0])

    def _impossible(self, split: str, index: int) -> UserError:
        return UserError(
            f"row {index} of {split}: {MAX_ATTEMPTS} draws in a row were dropped, each after "
            f"retries={self.spec.retries}; raise retries"
        )

    def numerics(self) -> dict[str, str]:
        """Return what the rows depend on beside the spec: the LAPACK of ``microcosm``, and otherwise nothing."""
        return microcosm.numerics(self.spec) if self.spec.generator == "microcosm" else {}


def world_ids(builder: Lorenz, split: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return :meth:`Lorenz.ids`."""
    return builder.ids(split, start, stop)


def _row(world: Any) -> dict[str, Any]:
    params, init_point = world.starts[:, :3].tolist(), world.starts[:, 3:].tolist()
    return {"text": world.text, "params": params, "init_point": init_point, "step_multip": world.multips}


def _batch(drawn: Any, schema: pa.Schema) -> pa.RecordBatch:
    """Return a block of worlds as rows, on the buffers that they lie in."""
    *_, decimals = halves.half_tables()
    starts, rows = decimals[drawn.starts], len(drawn.counts)
    if drawn.offsets[-1] >= 2**31:
        raise UserError(
            f"num_steps: {rows} rows come to {drawn.offsets[-1]} bytes of text, and Arrow holds 2 GiB; lower it"
        )
    text = pa.Array.from_buffers(
        pa.string(), rows, [None, pa.py_buffer(drawn.offsets.astype(np.int32)), pa.py_buffer(drawn.bytes)]
    )
    ends = pa.array(np.concatenate([[0], np.cumsum(drawn.counts)]).astype(np.int32))
    thirds = pa.array(np.arange(0, 3 * len(starts) + 1, 3, dtype=np.int32))

    def points(part: np.ndarray) -> pa.Array:
        return pa.ListArray.from_arrays(ends, pa.ListArray.from_arrays(thirds, pa.array(part.ravel())))

    multips = pa.ListArray.from_arrays(ends, pa.array(drawn.multips.astype(np.int32)))
    return pa.RecordBatch.from_arrays([text, points(starts[:, :3]), points(starts[:, 3:]), multips], schema=schema)


BUILDER = Lorenz
