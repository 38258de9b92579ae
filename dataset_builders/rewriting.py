"""Rewriting: strings over a small alphabet, and what a rule makes of each; or pairs that files already hold.

A row is one line of text, ``{input,output}``. The rule is one of those with a name (``copy``, ``double_a``), an ordered
list of productions (a Markov algorithm, or one pass of it over the input), or the table of a Turing machine.

The length of an input is uniform on min_length … max_length, and so is each of its symbols. An input belongs to one
split, which a keyed hash of its text tells: a draw that belongs to another is passed over. So no input of one split
ever occurs in another, whatever their sizes and lengths. (The hash knows nothing but seed and text, so this also holds
between corpora of one seed and the same shares that differ in rule, alphabet or lengths.) Within a split rows are
independent and may repeat.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hubkit.corpora.builder import MAX_ATTEMPTS, Block, CorpusBuilder, Source
from hubkit.draws import halves
from hubkit.errors import UserError
from hubkit.resources import load_module
from hubkit.tokenizers.characters import SEPARATOR, START, STOP

# One name each, whatever name this file goes by: Numba's cache finds the module of its functions again by it.
kernels, rules, spec, files = (
    load_module(Path(__file__).with_name(f"_rewriting_{part}.py"), f"hubkit_rewriting_{part}")
    for part in ("kernels", "rules", "spec", "files")
)
RewritingSpec = spec.RewritingSpec

# --- constants -------------------------------------------------------------------------------------------------------

SMALL = 4096
"""With so few different inputs it is looked up whether each split has some; of more, each has."""
PROBES = 32
"""Runs of a rule, at most, by which it is judged before a build."""

# --- named configs ---------------------------------------------------------------------------------------------------

CONFIGS = {
    "rewriting-copy": RewritingSpec(),
    "rewriting-double-a": RewritingSpec(rule="double_a"),
    # For a first run: of each length there are enough strings that training has seen some of them.
    "rewriting-tiny": RewritingSpec(
        rule="double_a", min_length=4, max_length=10, train=20_000, validation=500, test=500
    ),
    # Sorts by swapping neighbours: as many steps as pairs stand in the wrong order.
    "rewriting-sort": RewritingSpec.build(
        {"rule": {"markov": ["BA -> AB", "CA -> AC", "CB -> BC"]}, "alphabet": "ABC", "max_length": 12}
    ),
    # A binary number becomes so many strokes. (A textbook's first Markov algorithm.)
    "rewriting-binary-to-unary": RewritingSpec.build(
        {"rule": {"markov": ["|0 -> 0||", "1 -> 0|", "0 ->"]}, "alphabet": "01", "markers": "|", "max_length": 6}
    ),
    # Adds one to a binary number; tested on longer numbers than it is learnt from.
    "rewriting-increment": RewritingSpec.build(
        {
            "rule": {
                "turing": {
                    "start": "right",
                    "halt": ["done"],
                    "table": [
                        "right 0 -> 0 R right", "right 1 -> 1 R right", "right _ -> _ L carry",
                        "carry 1 -> 0 L carry", "carry 0 -> 1 N done", "carry _ -> 1 N done",
                    ],
                }
            },
            "alphabet": "01",
            "max_length": 16,
            "test_min_length": 17,
            "test_max_length": 24,
        }
    ),
}  # fmt: skip

# --- the family ------------------------------------------------------------------------------------------------------


class Rewriting(CorpusBuilder):
    """Corpora of strings and what rules make of them."""

    name = "rewriting"
    version = "1"
    spec_type = RewritingSpec
    schema = pa.schema({"input": pa.string(), "output": pa.string(), "text": pa.string(), "steps": pa.int32()})
    configs = CONFIGS
    libraries = ("numpy", "numba", "pyarrow")
    spec: RewritingSpec

    def __init__(self, spec: RewritingSpec):
        """Take a spec whose rule halts, and whose splits have inputs.

        Raises:
            UserError: A split has no input, or the rule doesn't halt on most.
        """
        super().__init__(spec)
        for split in spec.splits if spec.files is None else ():
            self._check_inputs(split)
            self._check_halting(split)

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of each split, in order."""
        if self.spec.files is None:
            return self.spec.splits
        most = {"train": self.spec.train, "validation": self.spec.validation}
        there = self._found["rows"]
        counts = {split: there[split] if most[split] is None else min(there[split], most[split]) for split in there}
        return {split: rows for split, rows in counts.items() if rows}

    @property
    def tokenizer(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The tokenizer of all symbols that rows may have."""
        symbols = self.spec.symbols if self.spec.files is None else self._found["symbols"]
        return "characters:" + "".join(sorted(symbols))

    @property
    def origin(self) -> Literal["generated", "found"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Rows of files come from elsewhere."""
        return "generated" if self.spec.files is None else "found"

    @property
    def license(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The licence of other people's files is theirs to say."""
        return "apache-2.0" if self.spec.files is None else "unknown"

    @property
    def summary(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How the rows are made, in a few sentences."""
        form = f"written as {START}input{SEPARATOR}output{STOP}"
        if self.spec.files is not None:
            return f"Each row is a pair that was read from a file of lines, {form}, in the files' order."
        if isinstance(self.spec.rule, str):
            how = f"the rule {self.spec.rule} ({rules.IN_WORDS[self.spec.rule]})"
        else:
            once = isinstance(self.spec.made, rules.Markov) and self.spec.made.single_pass
            how = "one pass of an ordered list of productions" if once else self.spec.made.noun
        return (
            f"Each row is a random string over the alphabet {self.spec.alphabet} and what {how} makes of it, {form}; "
            f"steps counts the rewrites. {self._lengths_in_words} An input belongs to one split by a keyed hash of its "
            "text, so that no input occurs in two splits; within a split, rows are drawn independently and may repeat."
        )

    @property
    def _lengths_in_words(self) -> str:
        (least, most), tested = self.spec.lengths("train"), self.spec.lengths("test")
        longer = f", those of the test split {tested[0]} to {tested[1]}" if tested != (least, most) else ""
        return f"Inputs have {least} to {most} symbols{longer if self.spec.test else ''}."

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes: each string twice, their ends, and the steps."""
        if self.spec.files is not None:
            return 16 + 2 * sum(source.bytes for source in self.sources()) // sum(self._found["rows"].values())
        length = sum(self.spec.lengths("train")) // 2
        return 20 + 2 * length * (1 + self.spec.made.growth() if isinstance(self.spec.made, rules.Markov) else 2)

    def pieces(self) -> Sequence[str]:
        """Return the splits whose files are to be read."""
        return () if self.spec.files is None else tuple(files.SPLITS)

    def prepare(self, piece: str, folder: Path) -> None:
        """Read one file."""
        files.read(Path(f"{self.spec.files}{files.SPLITS[piece]}"), folder, self.spec.max_bad_lines)

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Put what was read together."""
        files.join(pieces, folder)

    @property
    def recorded(self) -> RewritingSpec:
        """The spec, of files without the folder that they lie in."""
        return (
            self.spec if self.spec.files is None else self.spec.model_copy(update={"files": Path(self.spec.files).name})
        )

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of the files, by name."""
        paths = [] if self.spec.files is None else [Path(f"{self.spec.files}{part}") for part in files.SPLITS.values()]
        return {path.name: path.stat().st_size for path in paths if path.is_file()}

    def sources(self) -> Sequence[Source]:
        """Return the files that were read."""
        return () if self.spec.files is None else [Source(**source) for source in self._found["sources"]]

    def facts(self) -> dict[str, Any]:
        """Return, of files, how many lines were set aside and how many inputs train and validation share."""
        return {} if self.spec.files is None else {name: self._found[name] for name in ("bad_lines", "shared_inputs")}

    def reports(self) -> Mapping[str, Path]:
        """Return the list of lines that were set aside, if there are any."""
        aside = self.spec.files is not None and self._found["bad_lines"]
        return {files.QUARANTINE: self.prepared / files.QUARANTINE} if aside else {}

    @cached_property
    def _found(self) -> dict[str, Any]:
        return files.found(self.prepared)

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split.

        Raises:
            UserError: The rule was cut off on `MAX_ATTEMPTS` inputs in a row.
        """
        if self.spec.files is not None:
            read = files.pairs(self.prepared / f"{split}.arrow", start, stop).combine_chunks()
            inputs, outputs = (column.chunk(0) for column in read.columns)
            return Block(self._batch(inputs, outputs, pa.nulls(stop - start, pa.int32())))
        ins, outs, steps, rejected, hopeless = self._draw(split, start, stop, MAX_ATTEMPTS)
        if hopeless >= 0:
            raise UserError(
                f"row {start + hopeless} of {split}: the rule did not halt on {MAX_ATTEMPTS} inputs in a row, such as "
                f"{_texts(*ins)[hopeless].as_py()!r}; raise {self._limits}, or mend the rule"
            )
        return Block(self._batch(_texts(*ins), _texts(*outs), pa.array(steps)), rejected)

    def _batch(self, inputs: pa.Array, outputs: pa.Array, steps: pa.Array) -> pa.RecordBatch:
        text = pc.call_function(
            "binary_join_element_wise", [START, inputs, SEPARATOR, outputs, STOP, ""], pc.JoinOptions()
        )
        return pa.record_batch([inputs, outputs, text, steps], schema=self.schema)

    def _draw(self, split: str, start: int, stop: int, attempts: int) -> tuple[Any, ...]:
        """Return what the loop of that name does."""
        address = *halves(self.stream(split)), start, stop, attempts
        lengths = *self.spec.lengths(split), len(self.spec.alphabet or "")
        return kernels.draw(address, self._owner(split), lengths, *self._machine)

    def _owner(self, split: str) -> tuple[np.uint64, ...]:
        """Return how to tell whether an input belongs to a split: key and bounds of its hash."""
        return *halves(self.stream("whose input")), *self.spec.shares.bounds(split)

    @cached_property
    def _machine(self) -> tuple[Any, ...]:
        """Letters, rule and limits, as the loops take them."""
        encoded = [symbol.encode() for symbol in self.spec.symbols]
        letters = np.array([list(text.ljust(4, b"\0")) for text in encoded], np.uint8)
        widths = np.array([len(text) for text in encoded], np.int64)
        limits = self.spec.step_limit, self.spec.space_limit
        return (letters, widths), self.spec.made.compiled(self.spec.symbols), limits

    @property
    def _limits(self) -> str:
        return f"step_limit={self.spec.step_limit} or space_limit={self.spec.space_limit}"

    def _check_inputs(self, split: str) -> None:
        """Refuse a split to which none of the few inputs that there are belongs."""
        least, most = self.spec.lengths(split)
        alphabet, owner, mixed = self.spec.alphabet or "", self._owner(split), np.empty(4, np.uint64)
        count = 0
        for length in range(least, most + 1):
            count += len(alphabet) ** length
            if count > SMALL:
                return
        inputs = ("".join(letters) for length in range(least, most + 1) for letters in product(alphabet, repeat=length))
        if not any(kernels.owned(np.frombuffer(text.encode(), np.uint8), owner, mixed) for text in inputs):
            prefix = "test_" if split == "test" and self.spec.test_max_length is not None else ""
            raise UserError(
                f"{prefix}max_length={most}: of the {count} different inputs of {least} to {most} symbols over "
                f"{alphabet!r}, none belongs to {split}; raise {prefix}max_length"
                + ("" if split == "train" else f", or set {split}=0")
            )

    def _check_halting(self, split: str) -> None:
        """Refuse a rule that doesn't halt on most inputs, after as few runs as can show it."""
        made, need = self.spec.made, self.spec.least_halting * PROBES
        if isinstance(made, rules.Markov) and made.single_pass:
            return
        halted = 0
        for row in range(PROBES):
            ins, _, _, cut, _ = self._draw(split, row, row + 1, 1)
            halted += 1 - cut
            if halted >= need:
                return
            if halted + PROBES - row - 1 < need:
                self._refuse(split, row + 1, halted, _texts(*ins)[0].as_py())

    def _refuse(self, split: str, runs: int, halted: int, text: str) -> NoReturn:
        raise UserError(
            f"rule: {self.spec.made.why_endless()}{self.spec.made.noun} does not halt on {runs - halted} of {runs} "
            f"inputs of {split}, such as {text!r}, within step_limit={self.spec.step_limit} and "
            f"space_limit={self.spec.space_limit}; mend the rule, raise the limits, or lower "
            f"least_halting={self.spec.least_halting} to keep the inputs on which it halts"
        )


def _texts(data: np.ndarray, ends: np.ndarray) -> pa.Array:
    """Return UTF-8 strings, one after the other, as an Arrow array that shares their memory."""
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data[: ends[-1]])]
    return pa.Array.from_buffers(pa.string(), len(ends) - 1, buffers)


BUILDER = Rewriting
