"""Write the README's tree: every file with its first sentence. `--check` only says whether the tree is true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- tree -->\n```\n", "```\n<!-- /tree -->"
FOLDERS = ("dataset_builders", "hubkit", "model_cards", "spaces", "scripts")
WIDTH = 108


def gloss(path: Path) -> str:
    """Return what a file is, in its own first words."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    else:
        comment = re.match(r"\s*(?:#|\{#-?|/\*)\s*(.*?)\s*(?:-?#\}|\*/|\n|$)", text)
        said = comment.group(1) if comment else ""
    sentence = re.split(r"(?<=[.…])\s", said.replace("\n", " "))[0].removesuffix(".")
    return sentence if len(sentence) <= WIDTH else re.split(r"[:;] ", sentence)[0]


def tree() -> str:
    """Return the tree, one line a tracked file."""
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines, folder = [], None
    for path in sorted((ROOT / name for name in listed.splitlines()), key=lambda path: (path.parent, path.name)):
        if path.parent != folder:
            folder = path.parent
            package = folder / "__init__.py"
            about = f"  {gloss(package)}" if package.is_file() and package.read_text() else ""
            lines.append(f"{folder.relative_to(ROOT)}/{about}")
        if path.name != "__init__.py" and path.is_file():
            lines.append(f"    {path.name:<24}{gloss(path)}".rstrip())
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the tree, or check it; return the exit status."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, found, rest = text.partition(START)
    assert found, f"README.md has no {START!r}"
    new = before + START + tree() + END + rest.partition(END)[2]
    if "--check" in sys.argv[1:]:
        if new != text:
            print("README.md: the tree is not up to date; run python scripts/readme_tree.py", file=sys.stderr)
        return int(new != text)
    readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
