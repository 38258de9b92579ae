"""The line that says how an action went."""

from html import escape


def line(message: str, kind: str = "done") -> str:
    """Return the HTML of a message; its kind is `done` or `error`."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}">{escape(message)}</p>'
