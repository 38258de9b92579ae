"""Tokenizers of one token a symbol, for rows of the form ``{input,output}``: the rewriting corpora.

The ids are the symbols in the order of their code points, then start, stop, separator and the filler that pads rows.
Start, stop and separator are written in the rows themselves, so nothing is put around a text. There is no unknown
token: a character that is none of these is refused by the tokenizer itself, instead of being dropped.
"""

from typing import TYPE_CHECKING

from hubkit.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

START, STOP, SEPARATOR, FILLER = "{", "}", ",", "[PAD]"


def character_tokenizer(symbols: str, model_max_length: int | None = None) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of an alphabet as a stock transformers class: what it saves loads without hubkit.

    Args:
        symbols: The characters that inputs and outputs are made of, in any order.
        model_max_length: Limit in tokens to record, beyond which encoding warns; None records none.

    Raises:
        UserError: The symbols can't be told from what stands around them; see :func:`check_symbols`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    try:
        check_symbols(symbols)
    except ValueError as error:
        raise UserError(f"tokenizer: characters:{symbols}: {error}") from None
    vocabulary = {token: id for id, token in enumerate([*sorted(symbols), START, STOP, SEPARATOR, FILLER])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=START,
        eos_token=STOP,
        pad_token=FILLER,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **({} if model_max_length is None else {"model_max_length": model_max_length}),
    )


def are_characters(backend: "Tokenizer") -> bool:
    """Tell whether rules are those of such a tokenizer, whatever it was called and wherever it lay."""
    vocabulary = backend.get_vocab(with_added_tokens=False)  # a run may have added some
    marks = {START, STOP, SEPARATOR, FILLER}
    return marks <= set(vocabulary) and all(len(token) == 1 for token in vocabulary if token != FILLER)


def check_symbols(symbols: str) -> str:
    """Return symbols that a row and a tokenizer can tell apart.

    Raises:
        ValueError: There is none, one stands twice, one is white space, can't be printed, or means something in a row,
            or together they spell the filler. The message says which and what to do.
    """
    if not symbols:
        raise ValueError("there is no symbol; name at least one")
    for at, symbol in enumerate(symbols):
        fault = symbol_fault(symbol)
        if fault:
            raise ValueError(f"{fault}; take another character")
        if symbol in symbols[:at]:
            raise ValueError(f"{symbol!r} stands twice; leave one out")
    if set(FILLER) <= set(symbols):
        raise ValueError(f"these symbols spell {FILLER!r}, which fills rows up; leave one of its characters out")
    return symbols


def symbol_fault(symbol: str) -> str | None:
    """Return why a character can be no symbol, or None where it can."""
    if symbol in (START, STOP, SEPARATOR):
        return f"{symbol!r} marks the parts of a row and can be no symbol"
    if symbol.isspace() or not symbol.isprintable():
        return f"{symbol!r} is white space or can't be printed, and can be no symbol"
    return None
