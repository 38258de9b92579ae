"""Each architecture, trained and published by the command line, loads in a virtual environment without hubkit.

There it is asked over HTTP, without a token, and computes to the bit what the trained weights compute here.
"""

import json
import os
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.models.directed_generation import fed_ids, turned
from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers
from hubkit.server import process
from hubkit.training.checkpoints import checkpoints
from hubkit.training.recipe import Recipe
from hubkit.training.starting import load_weights, tokenizer_of
from tests.warm import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
CORPUS, SPLITS = "lab/worlds", {"train": 64, "validation": 24, "test": 24}
NEW_TOKENS = 12

BERT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_length": 512}
GPT = {"architecture": "minigpt", "n_layer": 2, "n_head": 2, "n_embd": 32, "block_size": 128}
MODERN = GPT | {"mlp": "swiglu", "position": "rope", "norm": "rmsnorm", "tie_embeddings": True}
CELLS = {"architecture": "recurrent", "hidden_size": 32, "num_hidden_layers": 2}
NEOX = {"architecture": "gpt_neox", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "max_length": 128}  # fmt: skip
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "roberta": ({"architecture": "roberta"} | BERT, "masked"),
    "numeric_roberta": ({"architecture": "numeric_roberta"} | BERT, "numeric_masked"),
    "minigpt": (GPT, "forward"),
    "minigpt-backward": (GPT, "backward"),
    "minigpt-modern": (MODERN, "forward"),
    "gru": (CELLS | {"cell": "gru"}, "forward"),
    "lstm-backward": (CELLS | {"cell": "lstm"}, "backward"),
    "gpt_neox": (NEOX, "forward"),
    "gpt_neox-backward": (NEOX, "backward"),
}
"""What is trained, and by which objective or in which direction."""
STOCK = ("roberta", "gpt_neox")


def recipe(name: str) -> dict[str, Any]:
    model, what = MODELS[name]
    causal = what in ("forward", "backward")
    return {
        "name": name,
        "dataset": {"repo": CORPUS},
        "tokenizer": "numeric-lorenz" if what == "numeric_masked" else "lorenz",
        "model": model,
        "objective": {"name": "causal", "direction": what} if causal else {"name": what},
        "reading": {"form": "windows", "length": 64} if causal else {"form": "rows"},
        "training": {"steps": 4, "batch_size": 8, "learning_rate": 1e-2, "trackers": [], "evaluation_rows": 8},
        "publish_to": f"lab/{name}",
    }


@dataclass(frozen=True)
class Published:
    """A Hub with all the models, the folder of their runs, and the text that they are asked about."""

    folder: Path
    environment: dict[str, str]
    output: str
    text: str

    def case(self, name: str) -> dict[str, Any]:
        """Return what is asked of a model in the clean environment."""
        what = MODELS[name][1]
        causal = what in ("forward", "backward")
        middle = self.text.index("'data'") + 80  # among numbers, which are numbers wherever they are cut
        return {
            "repo": f"lab/{name}",
            "auto": "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM",
            "pipeline": {"masked": "fill-mask", "numeric_masked": None}.get(what, "text-generation"),
            "trust": name not in STOCK,
            "text": self.text[middle - 50 : middle + 50] if causal else self.text,
            "prompt": self.text[middle - 20 : middle + 20] if causal else self.masked,
            "new_tokens": NEW_TOKENS,
        }

    @property
    def masked(self) -> str:
        """The text with one digit hidden."""
        before, key, after = self.text.partition("'params': [")
        return before + key + "?" + after[after.index(".") :]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    process.start(folder / "hub", port=0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    environment = clean | process.client_environment(folder / "hub") | {"HOME": str(folder)}
    build(find("lorenz-tiny", [f"splits.{split}={rows}" for split, rows in SPLITS.items()]), folder / "corpus")
    for name in MODELS:
        (folder / f"{name}.json").write_text(json.dumps(recipe(name)))
    output = ""
    with warm(folder / "warm", environment) as bin:
        for command in (["publish", "corpus", CORPUS], *(["train", f"{name}.json"] for name in MODELS)):
            done = subprocess.run(
                [bin / "hubkit", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
            )
            assert done.returncode == 0, done.stderr
            output += done.stdout + done.stderr
    text = find("lorenz-tiny").builder.block("test", 0, 1).rows["text"][0].as_py()
    yield Published(folder, environment, output, text)
    process.stop(folder / "hub")


# --- the clean environments ------------------------------------------------------------------------------------------


def linked(folder: Path) -> Path:
    """Make an environment that has all the packages of this one but hubkit; return its Python."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    for library in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for package in Path(library).iterdir():
            # A .pth file would bring an editable install along.
            if "hubkit" not in package.name and package.suffix != ".pth" and not (site / package.name).exists():
                (site / package.name).symlink_to(package)
    return python


def installed(folder: Path) -> Path:
    """Make an environment with what pip installs for people who only want to load a model; return its Python."""
    venv.create(folder, symlinks=True, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    libraries = ["torch", "transformers", "safetensors", "datasets"]  # the last for the rows that cards show
    done = subprocess.run([*pip, *libraries], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


@dataclass(frozen=True)
class Answers:
    """What was said in the clean environment, and all that was printed there."""

    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    output: str


@pytest.fixture(scope="module", params=["linked", pytest.param("installed", marks=pytest.mark.soak)])
def answers(request, published, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    python = {"linked": linked, "installed": installed}[request.param](folder / "venv")
    (folder / "cases.json").write_text(json.dumps({name: published.case(name) for name in MODELS}))
    environment = {"HOME": str(folder), "HF_ENDPOINT": published.environment["HF_ENDPOINT"], "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [python, "-I", HERE / "load_models.py", "cases.json", "."],
        cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads((folder / "answers.json").read_text())
    return Answers(facts, load_file(folder / "tensors.safetensors"), done.stdout + done.stderr)


# --- what the trained weights say here -------------------------------------------------------------------------------


class Trained:
    """A model as it was trained: made from its recipe, with the weights of the last checkpoint."""

    def __init__(self, folder: Path, name: str):
        spec = Recipe.model_validate(recipe(name))
        self.tokenizer: Any = tokenizer_of(spec, None)
        self.model: Any = spec.model.make(self.tokenizer, 1).eval()
        newest = checkpoints(folder / "runs" / name / "checkpoints")[-1]
        load_weights(self.model, newest, str(newest))
        self.direction = getattr(spec.objective, "direction", "forward")

    @torch.inference_mode()
    def compute(self, text: str) -> dict[str, torch.Tensor]:
        """Return what the model computes from a text."""
        numbers = Numbers(self.tokenizer) if hasattr(self.model, "number_head") else None
        inputs = numbers.batch([text]) if numbers else self.tokenizer(text, return_tensors="pt")
        outputs = self.model(**inputs)
        return {name: outputs[name] for name in ("logits", "numbers") if name in outputs}

    @torch.inference_mode()
    def write(self, prompt: str, new: int) -> list[int]:
        """Return the likeliest tokens around a prompt, in reading order, each found by reading all anew."""
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if self.direction == "backward":
            self.model.config.direction = self.direction
            ids = fed_ids(ids, self.model.config, self.direction)
        for _ in range(new):
            ids.append(int(self.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == self.tokenizer.eos_token_id:
                break
        return turned(ids, self.direction)


def test_hubkit_cannot_be_imported_there(answers):
    assert answers.facts["hubkit"] is False


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_what_the_trained_weights_do_to_the_bit(published, answers, name):
    torch.set_num_threads(1)
    trained, case = Trained(published.folder, name), published.case(name)
    ours = trained.compute(case["text"])
    for part, tensor in ours.items():
        assert torch.equal(answers.tensors[f"{name}/{part}"], tensor), part
    assert set(ours) == ({"logits", "numbers"} if name == "numeric_roberta" else {"logits"})


@pytest.mark.parametrize("name", MODELS)
def test_only_the_code_beside_the_weights_needs_trust(answers, name):
    facts = answers.facts[name]
    stock = name.startswith(STOCK)
    assert facts["class"].startswith("transformers.models." if stock else "transformers_modules."), "whose code ran"
    if stock:
        assert facts["refused"] is None
    else:
        assert "trust_remote_code=True" in facts["refused"]


@pytest.mark.parametrize("name", [name for name, (_, what) in MODELS.items() if what in ("forward", "backward")])
def test_the_pipeline_writes_in_reading_order(published, answers, name):
    trained, prompt = Trained(published.folder, name), published.case(name)["prompt"]
    text, ids = answers.facts[name]["said"]
    assert ids == trained.write(prompt, NEW_TOKENS)
    assert text.startswith(prompt) if trained.direction == "forward" else text.endswith(prompt)
    assert len(text) > len(prompt)


def test_the_pipeline_fills_a_mask(published, answers):
    trained = Trained(published.folder, "roberta")
    ids = trained.tokenizer(published.masked)["input_ids"]
    logits = trained.compute(published.masked)["logits"][0, ids.index(trained.tokenizer.mask_token_id)]
    said = answers.facts["roberta"]["said"]
    assert [token for token, _ in said] == logits.topk(len(said)).indices.tolist()
    assert "?" not in said[0][1]


@pytest.mark.parametrize("name", MODELS)
def test_the_code_on_the_card_runs(answers, name):
    what, printed = MODELS[name][1], answers.facts[name]["shown"].splitlines()
    if what == "masked":
        assert printed[0].startswith("masked: ") and len(printed) == 4
    elif what == "numeric_masked":
        hidden, answer = printed
        assert float(hidden.removeprefix("hidden: ")) != float(answer.removeprefix("answer: "))
    else:
        assert len("".join(printed)) > NEW_TOKENS


def test_no_token_is_printed_or_published(published, answers):
    token = published.environment["HF_TOKEN"]
    assert token not in published.output and token not in answers.output
    models = [path for name in MODELS for path in (published.folder / "runs" / name).rglob("*") if path.is_file()]
    assert len(models) > 10 * len(MODELS)
    for path in models:
        content = path.read_bytes()
        assert token.encode() not in content and str(published.folder).encode() not in content, path
