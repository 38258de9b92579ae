"""Imports go downward only, and the command line starts without the heavy libraries."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hubkit"

LAYERS: list[set[str]] = [
    {"hubkit", "hubkit.errors"},
    {
        "hubkit.batching",
        "hubkit.cores",
        "hubkit.draws",
        "hubkit.elementary",
        "hubkit.ending",
        "hubkit.files",
        "hubkit.hub",
        "hubkit.hub_errors",
        "hubkit.hub_patience",
        "hubkit.kernels",
        "hubkit.ports",
        "hubkit.provenance",
        "hubkit.randomness",
        "hubkit.resources",
        "hubkit.specs",
        "hubkit.variations",
    },
    {"hubkit.reading", "hubkit.sequences"},
    {"hubkit.corpora", "hubkit.models", "hubkit.tokenizers"},
    {"hubkit.data", "hubkit.prompting"},
    {"hubkit.evaluation", "hubkit.publishing", "hubkit.training"},
    {"hubkit.cards", "hubkit.experiments", "hubkit.lineage"},
    {"hubkit.demo", "hubkit.server", "hubkit.cli.output"},
    {"hubkit.train", "hubkit.prefetch", "hubkit.projects"},
    {"hubkit.quickstart"},
    {"hubkit.cli"},
    {"hubkit.__main__"},
]
"""From the ground up. A room may import what lies in a lower layer, and itself; in the second, also its neighbours."""

NEIGHBOURS = LAYERS[1]
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
HEAVY = ("torch", "transformers", "datasets", "huggingface_hub", "numpy", "pyarrow", "gradio", "numba")


def modules() -> dict[str, Path]:
    """Return every module of hubkit with its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str | None:
    """Return the room of a module: the longest name in `LAYERS` that it begins with; the top is nobody's room."""
    while module not in RANKS and "." in module:
        module = module.rpartition(".")[0]
        if module == "hubkit":
            return None
    return module


def imports(source: str, module: str = "", is_package: bool = False) -> Iterator[str]:
    """Yield the name of every module that some code imports, wherever in it; relative names are made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, base]).strip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in MODULES else base


def wrong(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return what a module of hubkit must not import and does."""
    room = room_of(module)
    found = []
    for target in imports(source, module, is_package):
        if target.partition(".")[0] != "hubkit":
            continue
        other = room_of(target)
        if room == other or (room in NEIGHBOURS and other in NEIGHBOURS):
            continue
        if room is None or other is None or RANKS[other] >= RANKS[room] or room == "hubkit.server":
            found.append(target)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward(module):
    path = MODULES[module]
    assert room_of(module) in RANKS, f"say in LAYERS where {module} belongs"
    assert wrong(module, path.read_text(encoding="utf-8"), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("hubkit.specs", "from hubkit.corpora.builder import CorpusSpec"),
        ("hubkit.hub", "from hubkit import publishing"),
        ("hubkit.errors", "import hubkit.files"),
        ("hubkit.corpora.build", "def f():\n    from hubkit.training.recipe import Recipe"),
        ("hubkit.corpora.build", "if TYPE_CHECKING:\n    import hubkit.cli.output"),
        ("hubkit.corpora.build", "from hubkit.tokenizers import make_tokenizer"),
        ("hubkit.reading.sources", "from hubkit.corpora.layout import Shard"),
        ("hubkit.sequences.base", "from hubkit.reading import Form"),
        ("hubkit.corpora.build", "from ..publishing import plan"),
        ("hubkit.models.roberta", "from ..evaluation.run import evaluate_model"),
        ("hubkit.training.run", "from hubkit.publishing import apply"),
        ("hubkit.training.run", "from hubkit.evaluation import run"),
        ("hubkit.publishing.plans", "import hubkit.training.recipe"),
        ("hubkit.evaluation.run", "from hubkit.train import train"),
        ("hubkit.server.app", "from hubkit.errors import UserError"),
        ("hubkit.server.app", "from hubkit import __version__"),
        ("hubkit.train", "from hubkit.cli import main"),
        ("hubkit.quickstart", "from hubkit.cli.hub import app"),
        ("hubkit.training.run", "import hubkit.unheard_of"),
    ],
)
def test_the_rule_catches(module, code):
    assert len(wrong(module, code)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("hubkit.specs", "from hubkit.errors import UserError"),
        ("hubkit.provenance", "from hubkit import __version__\nfrom hubkit.resources import checkout"),
        ("hubkit.corpora.build", "from . import builder\nfrom ..specs import Spec\nimport torch"),
        ("hubkit.publishing.corpus", "from hubkit.corpora.hashing import block_digest"),
        ("hubkit.cli.hub", "from hubkit.server import process"),
        ("hubkit.server.app", "from hubkit.server import process\nfrom .store import Store"),
    ],
)
def test_the_rule_allows(module, code):
    assert wrong(module, code) == []


def test_the_space_imports_nothing_of_hubkit():
    files = sorted((ROOT / "spaces").rglob("*.py"))
    assert len(files) > 3
    found = {(path.name, name) for path in files for name in imports(path.read_text(encoding="utf-8"))}
    assert ("app.py", "gradio") in found
    assert [entry for entry in found if entry[1].partition(".")[0] == "hubkit"] == []


def test_builders_use_the_engine_and_what_lies_below():
    files = sorted((ROOT / "dataset_builders").rglob("*.py"))
    used = {room_of(name) for path in files for name in imports(path.read_text()) if name.startswith("hubkit")}
    assert "hubkit.corpora" in used
    assert {room for room in used if room is None or RANKS[room] > RANKS["hubkit.corpora"]} == set()


@pytest.mark.parametrize("statement", ["import hubkit.cli", "import hubkit.cli.output, hubkit.server.process"])
def test_the_command_line_starts_without_heavy_libraries(statement):
    code = f"import sys\n{statement}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
