"""What a run begins with: a tokenizer, and a model with fresh weights or those of another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.hub import Commit, fetch_model, names_repository, resolve
from hubkit.models.loading import read_config
from hubkit.provenance import end_of_path
from hubkit.tokenizers.loading import is_own, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from hubkit.training.recipe import Recipe

_FUNCTION = (
    *("hidden_act", "mlp", "norm", "position", "cell"),
    *("layer_norm_eps", "norm_eps", "rope_theta", "rope_parameters", "use_parallel_residual"),
)
"""Fields of configs, of one architecture or another, that decide what is computed and no weight's name or shape."""

_SIZES = ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size", "max_position_embeddings")
"""Sizes by the names that every config understands; the vocabulary's is the tokenizer's matter."""
_FIELDS = {
    "minigpt": {
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "hidden_size": "n_embd",
        "intermediate_size": "mlp_hidden",
        "max_position_embeddings": "block_size",
    }
}
"""The fields of a recipe's model that give these sizes, by the type of its config."""
_USUAL_FIELDS = {"max_position_embeddings": "max_length"}
"""Those of the other types; a size that is not here has its own name."""


def find_commit(where: str | None) -> Commit | None:
    """Return the commit that OWNER/NAME[@REVISION] means now, or None for what is not on the Hub.

    Raises:
        UserError: The Hub is down, or has no such model or revision.
    """
    if where is None or not on_hub(where):
        return None
    repo, _, revision = where.partition("@")
    return resolve(repo, revision or None, "model")


def on_hub(where: str | None) -> bool:
    """Tell whether a tokenizer or weights by that name lie on the Hub, and neither here nor elsewhere."""
    if where is None or is_own(where) or Path(where).expanduser().exists():
        return False
    return names_repository(where)


def tokenizer_of(recipe: "Recipe", commit: Commit | None) -> "PreTrainedTokenizerFast":
    """Return a recipe's tokenizer, with the tokens that the recipe adds.

    Args:
        recipe: Names it.
        commit: Where it lies, if that is the Hub.
    """
    tokenizer = load_tokenizer(recipe.tokenizer if commit is None else f"{commit.repo}@{commit.revision}")
    if recipe.added_tokens:
        tokenizer.add_special_tokens({"additional_special_tokens": list(recipe.added_tokens)})
    return tokenizer


@contextmanager
def find_weights(where: str, commit: Commit | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the folder of the weights that a run begins with, and what its lineage says of them.

    Weights from S3 lie in a folder that is gone when the context is left, whichever way that happens.

    Args:
        where: A folder, a repository on the Hub, or a folder on S3.
        commit: Where it lies, if that is the Hub.

    Raises:
        UserError: There is nothing there, or it can't be read.
    """
    if commit is not None:
        pin = {"repo": commit.repo, "revision": commit.revision, "release": commit.release}
        yield fetch_model(commit.repo, commit.revision), pin
    elif "://" in where:
        with TemporaryDirectory(prefix="hubkit-weights-") as name:
            folder = Path(name)
            _fetch(where, folder)
            yield folder, {"path": where, "sha256": _sha256(folder, where)}
    else:
        folder = Path(where).expanduser()
        yield folder, {"path": end_of_path(folder), "sha256": _sha256(folder, where)}


def local_weights(where: str | None, commit: Commit | None) -> str | None:
    """Return the sha256 of the weights in a folder of this machine; None for what lies elsewhere, whose name says it.

    Raises:
        UserError: There are none.
    """
    if where is None or commit is not None or "://" in where:
        return None
    return _sha256(Path(where).expanduser(), where)


def load_weights(model: "PreTrainedModel", folder: Path, where: str, added: int = 0) -> None:
    """Give a model the weights of a checkpoint: all of them, each of the same shape.

    Only the tables of tokens may differ in their number of rows: a vocabulary that has grown keeps the rows that were
    there, and the new ones stay fresh; one that was larger stays so. A GPT-2 of transformers can become a MiniGPT.

    Args:
        model: Fresh; changed in place.
        folder: With `*.safetensors`, and the `config.json` of the model if there is one.
        where: What the folder is called, for messages.
        added: How many tokens the recipe adds to its tokenizer.

    Raises:
        UserError: It can't be read; or it is no checkpoint of this model: its config says that the model computed
            something else or had another size, or a weight is missing, superfluous or of another shape.
    """
    given = _read(folder, where, model)
    tables = {id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer}
    names = {name for name, weight in model.named_parameters(remove_duplicate=False) if id(weight) in tables}
    rows = next((given[name].shape[0] for name in sorted(names) if name in given), None)
    vocabulary = len(model.get_input_embeddings().weight)  # pyright: ignore[reportArgumentType]
    if rows is not None and rows < vocabulary - added:
        theirs = f"theirs (tokenizer={where})" if (folder / "tokenizer.json").is_file() else "theirs"
        raise UserError(
            f"tokenizer: it has {vocabulary - added} tokens, and the weights in {where} are for {rows}; use {theirs}"
        )
    if rows is not None and rows != vocabulary:
        model.resize_token_embeddings(rows, mean_resizing=False)
    _refuse_differences(model, given, where)
    model.load_state_dict(given, strict=False)
    model.tie_weights()
    if rows is not None and rows < vocabulary:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)


def _refuse_differences(model: "PreTrainedModel", given: "dict[str, torch.Tensor]", where: str) -> None:
    missing, unknown, differing = _differences(model, given)
    found = [*(f"{name} is missing" for name in missing), *(f"{name} is not known" for name in unknown), *differing]
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(
            f"init_from: the weights in {where} are not those of this model ({'; '.join(found[:3])}{more}); give model "
            "the architecture and shape that they have"
        )


def _differences(model: "PreTrainedModel", given: "dict[str, torch.Tensor]") -> tuple[list[str], list[str], list[str]]:
    """Return which weights are missing, not known, and of another shape (the last in words)."""
    own = model.state_dict()
    # Tied weights are stored once, under any of their names.
    tied: dict[int, list[str]] = {}
    for name, weight in own.items():
        tied.setdefault(weight.data_ptr(), []).append(name)
    present = {name for names in tied.values() if any(n in given for n in names) for name in names}
    differing = [
        f"{name} has the shape {list(given[name].shape)} and needs {list(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    return sorted(own.keys() - present), sorted(given.keys() - own.keys()), differing


def _weights(folder: Path, where: str) -> list[Path]:
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise UserError(f"init_from: {where} has no model.safetensors; name a folder that save_pretrained wrote")
    return files


def _sha256(folder: Path, where: str) -> str:
    """Return one hash of all weights in a folder."""
    return hashlib.sha256("".join(file_sha256(path) for path in _weights(folder, where)).encode()).hexdigest()


def _read(folder: Path, where: str, model: "PreTrainedModel") -> "dict[str, torch.Tensor]":
    """Return the weights in a folder, under the names that they have in a model of the given kind."""
    from safetensors import SafetensorError

    files, ours = _weights(folder, where), model.config
    try:
        # A checkpoint that training wrote on its way has no config; names and shapes must do.
        kind = read_config(folder).get("model_type") if (folder / "config.json").is_file() else None
        if kind is None:
            return _loaded(files)
        if (kind, ours.model_type) == ("gpt2", "minigpt"):
            from hubkit.models.minigpt import load_gpt2

            theirs = load_gpt2(folder)
        elif kind == ours.model_type:
            theirs = _restored(type(model), folder, where)
        else:
            raise UserError(
                f"init_from: the model in {where} is a {kind}, and this one a {ours.model_type}; set model.architecture"
            )
    except (OSError, SafetensorError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"init_from: can't read the weights in {where} ({said}); fetch them again") from None
    _compare(theirs.config, ours, where)
    _compare_sizes(theirs.config, model, where)
    return theirs.state_dict()


def _loaded(files: list[Path]) -> "dict[str, torch.Tensor]":
    from safetensors.torch import load_file

    weights: dict[str, torch.Tensor] = {}
    for path in files:
        weights |= load_file(path)
    return weights


def _restored(kind: "type[PreTrainedModel]", folder: Path, where: str) -> "PreTrainedModel":
    """Return the model in a folder, by transformers, which knows by which names older versions called weights."""
    loaded: Any = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True, dtype="float32")
    model, found = loaded
    for fault in ("missing", "unexpected", "mismatched"):
        names = sorted(map(str, found[f"{fault}_keys"]))
        if names:
            raise UserError(
                f"init_from: {where} does not hold what its config says: {names[0]} is {fault}; save it again"
            )
    return model


def _compare(theirs: "PreTrainedConfig", ours: "PreTrainedConfig", where: str) -> None:
    """Refuse weights of a model that computes something else with weights of the same names and shapes."""
    for field in _FUNCTION:
        there, here = getattr(theirs, field, None), getattr(ours, field, None)
        if there != here:
            raise UserError(
                f"init_from: the model in {where} was trained with {field} {there!r}, and this one has {here!r}; give "
                "model what they have"
            )


def _compare_sizes(theirs: "PreTrainedConfig", model: "PreTrainedModel", where: str) -> None:
    """Refuse weights of another size, and say by which fields of the recipe the model gets it."""
    ours: Any = model.config
    fields = _FIELDS.get(ours.model_type, _USUAL_FIELDS)
    # Rotary positions have no weights, so their number is free.
    counted = any("position" in name for name, _ in model.named_parameters())
    mends = []
    for size in _SIZES if counted else _SIZES[:-1]:
        there: Any = getattr(theirs, size, None)
        here: Any = getattr(ours, size, None)
        if there != here:
            # RoBERTa counts positions from pad_token_id + 1, whatever that id is.
            before = ours.pad_token_id + 1 if "roberta" in ours.model_type and size == _SIZES[-1] else 0
            mends.append(f"model.{fields.get(size, size)}={there - before} (now {here - before})")
    if mends:
        raise UserError(f"init_from: the model in {where} has another size than this one; set {', '.join(mends)}")


def _fetch(where: str, target: Path) -> None:
    """Copy a folder on S3 or the like into a local one; only its safetensors and its config come along."""
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(where)
        names = [name for name in files.ls(root, detail=False) if name.endswith((".safetensors", "/config.json"))]
        for name in names:
            files.get_file(name, str(target / Path(name).name))
    except ImportError as error:
        raise UserError(
            f"init_from: {where} needs a library that is missing ({error}); pip install hubkit[s3]"
        ) from None
    except Exception as error:  # what the libraries of each store raise, botocore's own without credentials among it
        said = " ".join(str(error).split()) or type(error).__name__
        said = "nothing is there" if said in where else said  # where it says no more than what was asked for
        raise UserError(f"init_from: can't read {where}: {said}; check the address and the credentials") from None
