"""A model folder: what transformers saves, `run.json` for its lineage, and what was measured."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.hub import need_pin, need_pins
from hubkit.publishing.sources import OURS, CardFacts, Content, RepoFiles, Source, need, read_json
from hubkit.publishing.versions import Change, Version, model_change

CONFIG = "config.json"
RUN = "run.json"
EVALUATION = "evaluation.json"

_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".msgpack", ".h5", ".dill"}
_PUBLISHED = {".json", ".txt", ".model", ".py", ".jinja", ".csv", ".png", ".svg", ".yaml"}
_WEIGHTS = re.compile(r"(model|adapter_model)(-\d{5}-of-\d{5})?\.safetensors")
_STATE = re.compile(r"(optimizer|scheduler|scaler|sampler|random_states|trainer_state|training_args|rng_state)")
_CHECKPOINT = re.compile(r"(checkpoints?([-_]\w+)?|step[-_]\d+|epoch[-_]\d+)")


class ModelSource(Source):
    """A trained model."""

    kind = "model"
    repo_type = "model"
    manifest_name = RUN

    def read_manifest(self) -> dict[str, Any]:
        """Return `run.json`, with the fields that a model's lineage can't do without."""
        if not (self.root / CONFIG).is_file():
            raise UserError(f"{self.root / CONFIG} is missing: save the model with save_pretrained")
        run = read_json(self.root / RUN, "a model is published from the folder that `hubkit train` writes")
        fields = ("name", "architecture", "recipe", "datasets", "tokenizer.name", "tokenizer.sha256", "code.hubkit")
        need(run, self.root / RUN, *fields)
        for entry in run["datasets"] if isinstance(run["datasets"], list) else ():
            if isinstance(entry, Mapping) and "path" in entry:
                raise UserError(
                    f"{self.root / RUN}: the model was trained on {entry['path']}, which nobody else finds; publish "
                    "that corpus, and train on it by dataset.repo"
                )
        need_pins(run["datasets"], self.root / RUN, "datasets")
        _need_evaluated(run.get("also_evaluate") or {}, self.root / RUN)
        if run.get("init_from"):
            _need_origin(run["init_from"], self.root / RUN)
        for field in ("training", "environment"):
            if not isinstance(run.get(field) or {}, Mapping):
                raise UserError(f"{self.root / RUN}: the field {field} is not an object")
        return run

    def files(self) -> list[Content]:
        """Return weights, config, tokenizer, lineage, measurements and training logs; pickles are refused."""
        found = []
        for name, path in self.walk():
            if name in OURS:
                continue
            reason = _not_published(name)
            if reason is None:
                found.append(self.content(name, path))
            elif reason:
                self.left_out.append(f"{name} ({reason})")
        if not any(is_weights(content.path) for content in found):
            raise UserError(f"{self.root} has no model.safetensors: save the model with save_pretrained")
        return found

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Compare lineage first, then weights."""
        return model_change(old, self.manifest, changed, is_weights)

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the model card."""
        from hubkit.publishing.model_card import model_card

        return model_card(self.root, self.manifest, repo, version, files_of)


def is_weights(path: str) -> bool:
    """Tell whether a path is one of the files that hold a model's weights."""
    return _WEIGHTS.fullmatch(path) is not None


def _need_evaluated(entries: Any, file: Path) -> None:
    """Check the data that losses were noted on: repositories at commits; what lay on a machine has only a hash."""
    if not isinstance(entries, Mapping):
        raise UserError(f"{file}: the field also_evaluate is not an object")
    for name, entry in entries.items():
        if not isinstance(entry, Mapping) or "path" not in entry:
            need_pin(entry, file, f"also_evaluate.{name}")
        else:
            need(entry, file, "path", "sha256")


def _need_origin(entry: Any, file: Path) -> None:
    """Check what a model's first weights were: a repository at a commit, or a path and the sha256 of what lay there."""
    if not isinstance(entry, Mapping) or "path" not in entry:
        return need_pin(entry, file, "init_from")
    need(entry, file, "path", "sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", str(entry["sha256"])):
        raise UserError(f"{file}: init_from: {entry['sha256']!r} is not the sha256 of weights; train the model again")


def _not_published(name: str) -> str | None:
    """Return why a file stays at home: None if it doesn't, an empty reason if that needs no word.

    Raises:
        UserError: The file can hold pickled code, and lies where it would be published.
    """
    path = Path(name)
    folders = path.parts[:-1]
    if any(part.startswith(".") or part == "__pycache__" for part in path.parts):
        return ""
    if any(_CHECKPOINT.fullmatch(part) for part in folders):
        return "a checkpoint of the training"
    if path.suffix in _PICKLED:
        raise UserError(
            f"{name} can hold pickled code, and only safetensors are published: save it as safetensors, or move it away"
        )
    if _STATE.match(path.name):
        return "state of the training"
    if folders:
        tensorboard = folders[0] == "runs" and path.name.startswith("events.out.tfevents")
        return None if tensorboard else "not part of a model"
    if is_weights(name) or path.suffix in _PUBLISHED or path.name.startswith("LICENSE"):
        return None
    return "not part of a model"
