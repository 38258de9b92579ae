"""E-mail addresses out of text."""

import re
from typing import Any

_ATOM = "A-Za-z0-9._%+-"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Each attempt begins where a run of such characters does and each part is bounded, so that the time is linear in the
# text, whatever it holds. The lookbehind looks for ASCII: in scripts that set no spaces an address follows a letter.
_EMAIL = re.compile(rf"(?<![{_ATOM}])[A-Za-z0-9_][{_ATOM}]{{0,63}}@(?:{_LABEL}\.){{1,8}}[A-Za-z]{{2,63}}")


def mask_emails(text: str, mask: str = "<email>") -> tuple[str, int]:
    """Return a text with `mask` in place of each e-mail address, and how many there were.

    An address is what RFC 5321 allows without quotes, in ASCII: a local part of at most 64 characters, and a domain of
    two labels or more. So `git@github.com:x` counts as one, `user@localhost` and `name at example dot org` don't.
    """
    if "@" not in text:
        return text, 0
    return _EMAIL.subn(lambda match: mask, text)


def mask_emails_within(value: Any, mask: str = "<email>") -> Any:
    """Return a JSON value with the addresses masked in every text in it; the names of fields stay."""
    if isinstance(value, str):
        return mask_emails(value, mask)[0]
    if isinstance(value, list):
        return [mask_emails_within(inner, mask) for inner in value]
    return {key: mask_emails_within(inner, mask) for key, inner in value.items()} if isinstance(value, dict) else value
