"""How many tokens texts have, by any tokenizer of the tokenizers library."""

from collections.abc import Sequence
from pathlib import Path

from hubkit.errors import UserError


class TokenCounter:
    """Counts tokens; the texts of special tokens are text like any other, and none are added."""

    def __init__(self, name: str):
        """Load a tokenizer.

        Args:
            name: Path of a ``tokenizer.json`` or of a folder that holds one, or a name on the Hub.

        Raises:
            UserError: There is none, or it is none.
        """
        from tokenizers import Tokenizer  # 50 MB of memory, that few corpora need

        path = Path(name)
        path = path / "tokenizer.json" if path.is_dir() else path
        try:
            self._tokenizer = Tokenizer.from_file(str(path)) if path.exists() else Tokenizer.from_pretrained(name)
        except Exception as error:  # the library has no kind of its own
            raise UserError(
                f"count_tokens: {name} can't be loaded ({error}); name a tokenizer.json, or a tokenizer on the Hub"
            ) from None
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
