"""The tokenizer of the Lorenz corpora: 142 ids, made by hand, no merges.

Digits go in pairs from the left (``3.428`` → ``3 . 42 8``), the keys of the dictionary are one token each, and white
space carries nothing. There is no unknown token: text that the 142 ids can't spell is refused by the tokenizer itself,
instead of being dropped.
"""

import re
from typing import TYPE_CHECKING

from hubkit.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from transformers import PreTrainedTokenizerFast

MASK, PAD, END = "?", "[PAD]", "[END]"

_KEYS = (
    *(f"'sys{i}':" for i in range(5)),
    "'num_sys':", "'params':", "'data':", "'description':", "'step_size':", "'init_point':", "'step_multip':",
    "'name':", "'lorenz'", "'normalization':", "'embedding':",
)  # fmt: skip

VOCABULARY: tuple[str, ...] = (
    *"0123456789",
    *"{}[],.-",
    END,
    MASK,
    PAD,
    *(f"{n:02d}" for n in range(100)),
    *_KEYS,
    "000", "0000", "e-05", "e-06", "e-07", "e-08",
)  # fmt: skip
"""The tokens in the order of their ids, 0 to 141."""

# The first alternative that fits wins, so longer tokens come first. What none of them takes becomes a piece of its own
# that is not in the vocabulary.
PATTERN = "|".join([*_KEYS, r"\[END\]", r"\[PAD\]", r"e-0[5-8]", "0000", "000", "[0-9][0-9]", "[0-9]", r"[{}\[\],.?-]"])

# To the tokenizer the control characters 28 to 31 are no white space; to Python's \s they are.
_WHITE_SPACE = r"[^\S\x1c-\x1f]"


def lorenz_tokenizer(model_max_length: int = 3000) -> "PreTrainedTokenizerFast":
    """Return the tokenizer as a stock transformers class: what it saves loads without hubkit.

    Args:
        model_max_length: Recorded limit in tokens; encoding warns beyond it.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({token: id for id, token in enumerate(VOCABULARY)}, unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        mask_token=MASK,
        pad_token=PAD,
        eos_token=END,
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def encode_batch(texts: "pa.Array | pa.ChunkedArray") -> "tuple[np.ndarray, np.ndarray]":
    """Return the ids that the tokenizer gives to texts, some hundred times as fast.

    Args:
        texts: Strings (`string` or `large_string`), none of them null.

    Returns:
        uint16 ids of all texts, one after the other, and int64 offsets (len(texts) + 1,): where each text begins.

    Raises:
        UserError: A text is null, or the vocabulary can't spell it; names the row, the character and where it stands.
    """
    from hubkit.tokenizers import lorenz_encoding

    return lorenz_encoding.encode_batch(texts)


def check_text(text: str) -> None:
    """Refuse text that the vocabulary can't spell.

    Raises:
        UserError: Names the first such character and where it stands.
    """
    position = 0
    for piece in re.finditer(rf"{_WHITE_SPACE}+|{PATTERN}", text):
        if piece.start() != position:
            break
        position = piece.end()
    if position < len(text):
        raise UserError(
            f"character {position} ({text[position : position + 12]!r}) is not in the Lorenz vocabulary; "
            "a world holds its own keys, numbers, brackets, commas, '?' for a masked token, and white space"
        )
