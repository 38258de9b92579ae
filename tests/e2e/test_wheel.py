"""The wheel, installed away from the checkout, finds builders, templates, Space and recipes."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the wheel unpacked by pip; the libraries come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("hubkit-*.whl")
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def hubkit(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command line; the editable install of this environment is out of reach."""
    code = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Redirecting' not in repr(f)]\n"
    code += f"sys.path.insert(0, {str(installed)!r})\nimport hubkit.cli; hubkit.cli.main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250)


def test_wheel_holds_only_the_package_and_all_of_what_travels_with_it(installed):
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops - {"bin"} == {"hubkit"}
    bundled = installed / "hubkit" / "bundled"
    for folder, pattern in {
        "dataset_builders": "*.py",
        "model_cards": "*.j2",
        "spaces": "**/*.*",
        "scripts/recipes": "*.yaml",
    }.items():
        mine = {p.relative_to(ROOT / folder) for p in (ROOT / folder).glob(pattern) if "__pycache__" not in p.parts}
        theirs = {p.relative_to(bundled / folder) for p in (bundled / folder).glob(pattern)}
        assert mine <= theirs, folder


def test_wheel_ships_its_licence(installed):
    (wheel,) = (installed.parent / "dist").glob("*.whl")
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_wheel_lists_and_builds(installed, tmp_path):
    listed = hubkit(installed, tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    assert {"lorenz-tiny", "lorenz-xsmall"} <= set(listed.stdout.split())
    built = hubkit(installed, tmp_path, "build", "lorenz-tiny", "--limit", "100", "-o", "corpus", "--json")
    assert built.returncode == 0, built.stderr
    assert '"commit": null' in built.stdout, "an installed wheel has no commit to name"
    again = subprocess.run(
        [Path(sys.executable).parent / "hubkit", "build", "corpus/corpus.json", "-o", "again"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    hashes = [line.split()[-1] for line in again.stdout.splitlines()]
    assert len(hashes) == 3
    assert all(f'"rows_sha256": "{hash}' in built.stdout for hash in hashes), "checkout and wheel make the same rows"


def test_wheel_finds_templates_space_and_recipes(installed, tmp_path):
    code = f"""
import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Redirecting' not in repr(f)]
sys.path.insert(0, {str(installed)!r})
from hubkit.resources import checkout, resource
from hubkit.training.recipe import read_recipe
import hubkit.train
print(checkout(), resource("model_cards", "dataset.md.j2").is_file(), resource("spaces", "demo", "app.py").is_file())
print(read_recipe("lorenz-tiny").publish_to)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["None True True", "lab/lorenz-tiny-roberta"], done.stderr
