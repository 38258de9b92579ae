"""Nothing leads to a row but integers and plain IEEE operations: no BLAS, no LAPACK, no elementary function of a libm.

Their last bits differ from machine to machine. A loop that is compiled can't be caught in the act, so this reads the
code; the generator ``microcosm`` is the exception, and its manifests name the LAPACK.
"""

import ast
from pathlib import Path

import pytest

from hubkit.resources import resource

ROOT = Path(__file__).parents[2]
BUILDERS = resource("dataset_builders", "lorenz.py").parent
PORTABLE = [
    ROOT / "hubkit/draws.py",
    ROOT / "hubkit/elementary.py",
    *sorted((ROOT / "hubkit/sequences").glob("*.py")),
    *(
        path
        for path in sorted(BUILDERS.glob("*.py"))
        if path.name not in ("_lorenz_microcosm.py", "_lorenz_kernels.py")
    ),
]
UNPORTABLE = {
    "linalg", "fft", "dot", "vdot", "inner", "outer", "matmul", "tensordot", "einsum", "convolve", "interp", "power",
    "float_power", "pow", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "arctan2", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "hypot", "cbrt", "erf",
    "gamma", "lgamma", "fsum",
}  # fmt: skip


def unportable(code: str) -> list[str]:
    """Return the operations in a module that differ from machine to machine."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "math"):
            found += [f"{node.value.id}.{node.attr}"] if node.attr in UNPORTABLE else []
        if isinstance(node, ast.MatMult):
            found.append("@")
        if isinstance(node, ast.keyword) and node.arg == "fastmath":
            found.append("fastmath")
    return found


@pytest.mark.parametrize("path", PORTABLE, ids=lambda path: path.name)
def test_rows_hang_on_plain_arithmetic(path):
    assert unportable(path.read_text(encoding="utf-8")) == []


def test_what_is_not_plain_is_found():
    code = "import numpy as np\nx = np.linalg.svd(a) + np.exp(b @ c)\n@njit(fastmath=True)\ndef f(): return math.sin(1)"
    assert sorted(unportable(code)) == ["@", "fastmath", "math.sin", "np.exp", "np.linalg"]
