"""Tokenizers of corpora that hold ids already: each id is spelled as its number, so that people can read a sequence.

The ids 0 to N-1 are the corpus's own; behind them come what begins a sequence, what ends it, and what pads it.
"""

from typing import TYPE_CHECKING

from hubkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BEGIN, END, FILLER = "[BOS]", "[EOS]", "[PAD]"
MOST = 1 << 20
"""Ids that such a tokenizer may have."""


def id_tokenizer(count: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of ids 0 to N-1, as a stock transformers class: ``12 7 7`` is three tokens.

    Args:
        count: N, as in ``ids:1000``.

    Raises:
        UserError: It is no number of ids.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if not count.isdecimal() or not 0 < int(count) <= MOST:
        raise UserError(f"tokenizer: ids:{count}: {count!r} is no number from 1 to {MOST}; write ids:1000, say")
    numbers = [str(id) for id in range(int(count))]
    vocabulary = {token: id for id, token in enumerate([*numbers, BEGIN, END, FILLER])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=FILLER,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
