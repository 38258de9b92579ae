"""Whether what a Hub serves can be loaded by the libraries that people load it with; asked before a release is tagged.

No code of a repository runs here, with one exception: the files of hubkit's own architectures, where the repository
has them byte for byte, are loaded as their users load them, in a process of their own.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import AGAIN, passes, redact
from hubkit.hub_patience import hub_api
from hubkit.models.loading import architecture_files
from hubkit.publishing import frontmatter
from hubkit.publishing.hub import Repository
from hubkit.publishing.model import CONFIG
from hubkit.publishing.releases import read_object
from hubkit.publishing.sources import CARD, RepoType, content_of_file

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SECONDS = 300
"""How long a process of its own may take."""

_TOKENIZER = {"tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "tokenizer.model"}


def check_loads(repository: Repository, commit: str) -> None:
    """Load a little of a repository at a commit.

    The first row of each split of each config through `datasets`; a model's config and tokenizer through
    `transformers`; of a Space the fields that it is built from.

    Raises:
        UserError: It can't be loaded; says what the library said.
    """
    if repository.repo_type == "space":
        return _check_space(repository, commit)
    trusted = repository.repo_type == "model" and _has_our_code(repository, commit)
    if trusted or not _libraries_ask(repository.api):
        problem = _in_a_process(repository, commit, trusted)
    else:
        problem = load(repository.repo_type, repository.name, commit, repository.api.token)
    if problem:
        raise _not_loaded(repository, commit, problem)
    return None


def _not_loaded(repository: Repository, commit: str, problem: str) -> UserError:
    return UserError(
        f"{repository.name} at {commit[:12]} has every file, but {problem}; nothing was released: mend that in the "
        f"folder or the card, then {AGAIN}"
    )


def load(repo_type: RepoType, name: str, commit: str, token: Any = None, trusted: bool = False) -> str | None:
    """Load a little of a dataset or model, in this process.

    Args:
        repo_type: What it is.
        name: ``OWNER/NAME`` on the Hub that the libraries ask.
        commit: Which revision.
        token: For the Hub; None takes the environment's.
        trusted: Run the code of a model's repository.

    Returns:
        What went wrong, or None. That the Hub could not be asked is raised instead.
    """
    with _quiet():
        try:
            if repo_type == "dataset":
                return _load_dataset(name, commit, token)
            return _load_model(name, commit, token, trusted)
        except Exception as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            if full or passes(error) or isinstance(error, (ConnectionError, TimeoutError)):
                raise
            library = "datasets" if repo_type == "dataset" else "transformers"
            return f"`{library}` can't load it ({type(error).__name__}: {redact(str(error))[:400]})"


def _load_dataset(name: str, commit: str, token: Any) -> str | None:
    """Read the first row of each split of each config."""
    import datasets

    for config in datasets.get_dataset_config_names(name, revision=commit, token=token):
        found = datasets.load_dataset(name, config, revision=commit, token=token, streaming=True)
        for split, rows in found.items():
            rows = rows.decode(False) if rows.features else rows  # noqa: PLW2901 (pictures and sounds need more libraries)
            if next(iter(rows), None) is None:
                return f"`datasets` finds no row in the split {split} of its config {config}"
    return None


def _load_model(name: str, commit: str, token: Any, trusted: bool) -> str | None:
    """Load config and tokenizer; of an architecture that is code of the repository, the tokenizer alone."""
    from huggingface_hub import hf_hub_download
    from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

    options: dict[str, Any] = {"revision": commit, "token": token}
    files = set(hub_api().list_repo_files(name, **options))
    if CONFIG not in files:  # a tokenizer by itself
        AutoTokenizer.from_pretrained(name, **options)
        return None
    known = json.loads(Path(hf_hub_download(name, CONFIG, **options)).read_text())
    if known.get("auto_map") and not trusted:
        config: Any = PreTrainedConfig()
    else:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trusted, **options)
    if files & _TOKENIZER:
        AutoTokenizer.from_pretrained(name, config=config, trust_remote_code=trusted, **options)
    return None


def _has_our_code(repository: Repository, commit: str) -> bool:
    """Tell whether a model needs code, and its repository has no other than that of an architecture of hubkit's own."""
    config = read_object(repository, CONFIG, commit) or {}
    ours = {file.name: content_of_file(file.name, file) for file in architecture_files(str(config.get("model_type")))}
    code = {path: file for path, file in repository.files(commit).items() if path.endswith(".py")}
    same = all(path in ours and file.holds(ours[path]) for path, file in code.items())
    return bool(config.get("auto_map")) and bool(code) and same


def _libraries_ask(api: "HfApi") -> bool:
    """Tell whether the libraries in this process ask the Hub of a client: they read its address when imported."""
    from datasets import config
    from huggingface_hub import constants

    return api.endpoint == constants.ENDPOINT.rstrip("/") == config.HF_ENDPOINT.rstrip("/")


def _in_a_process(repository: Repository, commit: str, trusted: bool) -> str | None:
    """Load in a process that asks the repository's Hub, and return what went wrong."""
    api = repository.api
    environment = {**os.environ, "HF_ENDPOINT": api.endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if isinstance(api.token, str):
        environment["HF_TOKEN"] = api.token
    question = json.dumps([repository.repo_type, repository.name, commit, None, trusted])
    command = [sys.executable, "-m", "hubkit.publishing.loading", question]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"loading it took longer than {_SECONDS} s"
    if done.returncode:
        raise OSError(f"loading it failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Have `datasets` draw no progress bars of its own meanwhile."""
    import datasets

    before = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            datasets.enable_progress_bars()


def _check_space(repository: Repository, commit: str) -> None:
    """Check that a Space has what it is started with.

    Raises:
        UserError: It hasn't.
    """
    text = (repository.read(CARD, commit) or b"").decode("utf-8", "replace")
    fields = frontmatter.parse(frontmatter.split(text)[1])
    app = str(fields.get("app_file", "app.py"))
    if fields.get("sdk") not in ("gradio", "streamlit", "docker", "static"):
        problem = f"its {CARD} names no sdk that runs Spaces (sdk: {fields.get('sdk')})"
    elif fields["sdk"] in ("gradio", "streamlit") and app not in repository.files(commit):
        problem = f"its {CARD} names the app_file {app}, which is not there"
    else:
        return
    raise _not_loaded(repository, commit, problem)


if __name__ == "__main__":
    print(json.dumps(load(*json.loads(sys.argv[1]))))
