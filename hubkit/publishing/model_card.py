"""What the card of a model says: lineage from `run.json`, results from `evaluation.json`, and the training curve."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.benchmarks import benchmark_results
from hubkit.publishing.cards import citation, code_of, number, public, render_body, title_of, tokenizer_tags
from hubkit.publishing.hub import need_pin
from hubkit.publishing.inherited import joint_licence, licences_of
from hubkit.publishing.model import CONFIG, EVALUATION
from hubkit.publishing.rendering import count
from hubkit.publishing.sources import CardFacts, RepoFiles, need, read_json
from hubkit.publishing.versions import Version

TOKENIZER_CONFIG = "tokenizer_config.json"
_CURVE_ROWS = 8
_OPTIONAL = dict.fromkeys(
    ("parameters", "also_evaluate", "init_from", "direction", "license", "recipe_sha256", "environment", "training")
)


def model_card(folder: Path, run: Mapping[str, Any], repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
    """Return the card of a model.

    Args:
        folder: The model folder.
        run: Its `run.json`.
        repo: Where it is published.
        version: The release that the snippets load.
        files_of: Reads the repositories that it pins.
    """
    pins = [{"release": None, "splits": {}, **entry} for entry in run["datasets"]]
    run = {**_OPTIONAL, **run, "datasets": pins, "tokenizer": {"revision": None, **run["tokenizer"]}}
    config = read_json(folder / CONFIG, "save the model with save_pretrained")
    results = _results(folder)
    title, pipeline = title_of(repo), pipeline_tag(config)
    licences = licences_of(run, files_of)
    facts = {
        "repo": repo,
        "title": title,
        "tag": version.tag,
        "run": run,
        "recipe": public(run["recipe"]),
        "pipeline": pipeline,
        "direction": run["direction"] or "forward",
        "custom_code": bool(config.get("auto_map")),
        "trusted": _needs_trust(config),
        "example": _example(run),
        "prompt": _prompt(folder),
        "reads_numbers": "number_token_id" in config,
        "training": _training(run),
        "environment": _environment(run),
        "code": code_of(run["code"]),
        "modified": bool(run["code"].get("modified")),
        "trained_on": _trained_on(run),
        "licences": licences,
        "curve": _curve(folder / "curve.csv"),
        "curve_alt": _curve_alt(folder / "curve.csv"),
        "curve_image": (folder / "curve.png").is_file(),
        "results": results,
        "citation": citation(repo, version.tag, title, "Model"),
    }
    metadata = _metadata(run, config, pipeline, results)
    defaults = {} if "license" in metadata else {"license": joint_licence(licences) if licences else "apache-2.0"}
    beside = tuple(benchmark_results(results, files_of))
    return CardFacts(metadata, defaults, render_body("model.md.j2", facts), beside)


def pipeline_tag(config: Mapping[str, Any]) -> str | None:
    """Return the task that a model's head is for, from its config; None where hubkit can't tell."""
    heads = [str(name) for name in config.get("architectures") or ()]
    if any(head.endswith("ForMaskedLM") for head in heads):
        return "fill-mask"
    if any(head.endswith(("ForCausalLM", "LMHeadModel")) for head in heads):
        return "text-generation"
    return None


def _needs_trust(config: Mapping[str, Any]) -> bool:
    """Tell whether the snippets run code of the repository: its architecture's, or its pipeline's."""
    return bool(config.get("auto_map") or config.get("custom_pipelines"))


def _metadata(
    run: Mapping[str, Any], config: Mapping[str, Any], pipeline: str | None, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the front matter."""
    from huggingface_hub import ModelCardData

    base = (run["init_from"] or {}).get("repo")
    data = ModelCardData(
        license=run["license"],
        library_name="transformers",
        pipeline_tag=pipeline,
        tags=["hubkit", run["architecture"], *(["custom_code"] if _needs_trust(config) else []), *_tokenizer(run)],
        datasets=list(dict.fromkeys(entry["repo"] for entry in run["datasets"])) or None,
        base_model=base,
        metrics=list(dict.fromkeys(m["type"] for result in results for m in result["metrics"])) or None,
    )
    metadata = data.to_dict()
    if base:
        metadata["base_model_relation"] = "finetune"
    if results:
        metadata["model-index"] = [{"name": run["name"], "results": _model_index(run["name"], results)}]
    return metadata


def _tokenizer(run: Mapping[str, Any]) -> list[str]:
    """Return the tag of the tokenizer; one without a revision lay on somebody's machine, whatever it is called."""
    return tokenizer_tags(run["tokenizer"]["name"]) if run["tokenizer"]["revision"] else []


def _model_index(name: str, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the evaluation as the Hub spells it.

    Each task is turned on its own: huggingface_hub joins results that differ in nothing but the task's name.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    index = []
    for result in results:
        data = result["dataset"]
        flat = [
            EvalResult(
                task_type=result["task"]["type"],
                task_name=result["task"].get("name"),
                dataset_type=data["repo"],
                dataset_name=data.get("name") or data["repo"],
                dataset_config=data.get("config"),
                dataset_split=data.get("split"),
                dataset_revision=data.get("revision"),
                metric_type=metric["type"],
                metric_name=metric.get("name"),
                metric_value=metric["value"],
            )
            for metric in result["metrics"]
        ]
        index += eval_results_to_model_index(name, flat)[0]["results"]
    return index


def _results(folder: Path) -> list[dict[str, Any]]:
    """Return the results in `evaluation.json`, checked; none where there is no such file."""
    file = folder / EVALUATION
    if not file.is_file():
        return []
    results = read_json(file, "run `hubkit evaluate` again").get("results")
    if not isinstance(results, list):
        raise UserError(f"{file}: the field results is missing: run `hubkit evaluate` again")
    for result in results:
        need(result, file, "task.type", "dataset", "metrics")
        need_pin(result["dataset"], file, "dataset")
        for metric in result["metrics"]:
            need(metric, file, "type", "value")
    return [result for result in results if result["metrics"]]


def _example(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return where the snippet takes its input from: a split that the model wasn't trained on, if there is one.

    With it comes the token after which rows begin to be learnt, if the recipe names one: what is before it is a prompt.
    """
    column, separator = _in(run["recipe"], "dataset", "column"), _in(run["recipe"], "objective", "learn_after")
    for entry in run["datasets"]:
        splits = list(entry["splits"] or ())
        if splits:
            split = next((name for name in ("test", "validation") if name in splits), splits[-1])
            return {
                "repo": entry["repo"],
                "revision": entry["revision"],
                "split": split,
                "column": column or "text",
                "separator": separator,
                # hubkit's own corpora of tokens call them so; a text is what they spell.
                "ids": column == "input_ids",
            }
    return None


def _prompt(folder: Path) -> dict[str, int]:
    """Return at how many tokens the snippet cuts a row, whose first or second half is the prompt, and writes anew.

    Together they fit into what the model reads, which the tokenizer's config tells; where it tells nothing, 100 do.
    """
    file = folder / TOKENIZER_CONFIG
    limit = read_json(file, "save the tokenizer again").get("model_max_length") if file.is_file() else None
    # A quarter is left over: cut elsewhere, the same text may take some tokens more.
    span = min(100, int(limit) * 3 // 4) if isinstance(limit, int | float) else 100
    return {"span": max(2, span), "new": max(1, span // 2)}


def _in(recipe: Any, group: str, field: str) -> str | None:
    """Return a text in a group of a recipe, if there is one."""
    fields = recipe.get(group) if isinstance(recipe, Mapping) else None
    value = fields.get(field) if isinstance(fields, Mapping) else None
    return value if isinstance(value, str) else None


def _training(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the training table."""
    names = {
        "steps": "Steps",
        "epochs": "Epochs",
        "tokens": "Tokens",
        "seconds": "Seconds",
        "final_train_loss": "Final training loss",
        "final_validation_loss": "Final validation loss",
        "best_validation_loss": "Best validation loss",
    }
    training = run["training"] or {}
    return [(label, number(training[key])) for key, label in names.items() if training.get(key) is not None]


def _environment(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows that say where the model was trained."""
    there = run["environment"] or {}
    libraries = ", ".join(f"{name} {version}" for name, version in (there.get("libraries") or {}).items())
    processes = there.get("processes") or 1
    rows = {
        "Device": there.get("device"),
        "Processes": processes if processes > 1 else None,
        "Platform": there.get("platform"),
        "Python": there.get("python"),
        "Libraries": libraries,
    }
    return [(label, str(value)) for label, value in rows.items() if value]


def _trained_on(run: Mapping[str, Any]) -> list[str]:
    """Return the datasets of the training, each with the number of its training rows where that is known."""
    known = {entry["repo"]: (entry["splits"] or {}).get("train") for entry in run["datasets"]}
    return [f"{count(rows, 'row')} of {repo}" if isinstance(rows, int) else repo for repo, rows in known.items()]


def _points(file: Path) -> list[list[str]]:
    """Return the lines of a training curve, the header first; none where there is no curve."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        lines = [row for row in csv.reader(stream) if row]
    return lines if len(lines) > 1 else []


def _curve_alt(file: Path) -> str:
    """Return what one sees of the training curve: where each loss begins and ends."""
    header, *rows = _points(file) or [[]]
    said = []
    for column, name in (("train_loss", "training loss"), ("validation_loss", "validation loss")):
        if column in header and "step" in header:
            step, at = header.index("step"), header.index(column)
            points = [(row[step], _short(row[at])) for row in rows if len(row) > max(step, at) and row[at]]
            if points:
                (first, start), (last, end) = points[0], points[-1]
                origin = f" from {start} at step {_short(first)} to" if len(points) > 1 else ""
                said.append(f"{name}{origin} {end} at step {_short(last)}")
    return f"Loss over the training steps: {', '.join(said)}" if said else "Loss over the training steps"


def _curve(file: Path) -> list[list[str]]:
    """Return the header and some evenly spaced rows of the training curve, the last one among them."""
    header, *rows = _points(file) or [[]]
    if not rows:
        return []
    count = min(_CURVE_ROWS, len(rows))
    chosen = [rows[round(index * (len(rows) - 1) / max(1, count - 1))] for index in range(count)]
    return [header, *([_short(value) for value in row] for row in chosen)]


def _short(text: str) -> str:
    """Shorten a number of a CSV file for reading."""
    try:
        return number(float(text)) if "." in text or "e" in text.lower() else number(int(text))
    except ValueError:
        return text
