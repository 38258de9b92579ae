"""The tokenizer of Lorenz corpora for models that read numbers as numbers: each number is one token, ``#``.

The ``#`` says only that a number stands there; its value travels beside the ids, as in xVal (Golkar et al.,
arXiv 2310.02989). Keys, brackets and commas are the tokens that they are to the Lorenz tokenizer, and white space
carries nothing. As there, text that the vocabulary can't spell is refused. A hidden number is one ``?``.

Which characters make a number is said in one place, the normaliser that replaces them: it is published in
``tokenizer.json``, and whoever collects the values reads the pattern there.
"""

from typing import TYPE_CHECKING

from hubkit.tokenizers import lorenz

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NUMBER = "#"

NUMBER_PATTERN = r"(?<![A-Za-z0-9_.])[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.])"
"""A number as Python and JSON write it; the digit in a key such as ``'sys0':`` is none, nor is part of ``1.2.3``."""

_KEYS = tuple(token for token in lorenz.VOCABULARY if token.startswith("'"))

VOCABULARY: tuple[str, ...] = (NUMBER, *"{}[],", lorenz.END, lorenz.MASK, lorenz.PAD, *_KEYS)
"""The tokens in the order of their ids, 0 to 24."""

_PATTERN = "|".join([*_KEYS, r"\[END\]", r"\[PAD\]", r"[{}\[\],#?]"])


def numeric_lorenz_tokenizer(model_max_length: int = 3000) -> "PreTrainedTokenizerFast":
    """Return the tokenizer as a stock transformers class: what it saves loads without hubkit.

    Args:
        model_max_length: Recorded limit in tokens; encoding warns beyond it.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({token: id for id, token in enumerate(VOCABULARY)}, unk_token=None))
    backend.normalizer = normalizers.Replace(Regex(NUMBER_PATTERN), NUMBER)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated")]
    )
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        mask_token=lorenz.MASK,
        pad_token=lorenz.PAD,
        eos_token=lorenz.END,
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
