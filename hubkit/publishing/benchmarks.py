"""Results of a model on benchmarks, in the form that the Hub gathers for their leaderboards.

A dataset is registered as a benchmark by an `eval.yaml` that names its tasks, each with a config and a split
(https://huggingface.co/docs/hub/eval-results). A result counts where it names such a task: its question or its metric
is called as the task is, no other result's is, and it was asked of that split at a commit that has the file. Everything
else stays in the card's model-index.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.sources import RESULTS, Content, RepoFiles, content_of_bytes

BENCHMARK = "eval.yaml"


def benchmark_results(results: Sequence[Mapping[str, Any]], files_of: RepoFiles) -> list[Content]:
    """Return the files for the results that belong to registered benchmarks, one for each of these.

    Args:
        results: Those of `evaluation.json`.
        files_of: Reads the datasets that they were measured on.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    tasks = {pin: _tasks(*pin, files_of) for result in results if (pin := _pin(result))}
    scores: dict[tuple[str, str, str], list[Any]] = {}
    for result in results:
        for task, value in _scores(result, tasks[_pin(result)]):
            scores.setdefault((*_pin(result), task), []).append(value)
    found: dict[str, list[EvalResultEntry]] = {}
    for (repo, revision, task), values in scores.items():
        if len(values) == 1:  # a leaderboard takes one, and nobody said which
            entry = EvalResultEntry(dataset_id=repo, task_id=task, value=values[0], dataset_revision=revision)
            found.setdefault(repo, []).append(entry)
    return [
        content_of_bytes(
            f"{RESULTS}/hubkit-{repo.replace('/', '--')}.yaml",
            yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True).encode(),
        )
        for repo, entries in found.items()
    ]


def _pin(result: Mapping[str, Any]) -> tuple[str, str]:
    return str(result["dataset"]["repo"]), str(result["dataset"]["revision"])


def _tasks(repo: str, revision: str, files_of: RepoFiles) -> list[Mapping[str, Any]]:
    """Return the tasks of a benchmark; none of a dataset that is no benchmark, or that nobody finds here."""
    import yaml

    try:
        read = files_of(repo, "dataset", revision).get(BENCHMARK)
        described = yaml.safe_load(read() or b"") if read else None
    except (UserError, yaml.YAMLError):
        return []
    tasks = described.get("tasks") if isinstance(described, Mapping) else None
    return [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []


def _scores(result: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the tasks that a result answers, each with its value: of the metric of that name, else of the first one."""
    data, metrics = result["dataset"], result["metrics"]
    asked = (str(data.get("config") or "default"), str(data.get("split")))
    for task in tasks:
        name = task.get("id")
        if asked != (str(task.get("config") or "default"), str(task.get("split") or "test")):
            continue
        of_name = [metric for metric in metrics if name in (metric["type"], metric.get("name"))]
        if of_name or name == result["task"].get("name"):
            yield str(name), (of_name or metrics)[0]["value"]
