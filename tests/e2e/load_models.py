"""Load published models by plain transformers, and ask them: `python -I load_models.py CASES.json OUT`.

`CASES.json` names for each model its repository, whether its code is trusted, what it is for and what it is asked. The
answers are written into the folder OUT: `tensors.safetensors` what the models compute, `answers.json` what they say.
"""

import io
import json
import re
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import hf_hub_download
from safetensors.torch import save_file


def load(repo: str, auto: str, trust: bool) -> tuple[Any, Any]:
    """Return model and tokenizer; trust is False where nothing of the repository may run."""
    model, found = getattr(transformers, auto).from_pretrained(repo, trust_remote_code=trust, output_loading_info=True)
    assert not any(found.values()), found
    return model.eval(), transformers.AutoTokenizer.from_pretrained(repo, trust_remote_code=trust)


def computed(model: Any, tokenizer: Any, text: str) -> dict[str, torch.Tensor]:
    """Return the inputs that a text becomes, and what the model computes from them."""
    inputs = (
        model.numbers(tokenizer).batch([text]) if hasattr(model, "numbers") else tokenizer(text, return_tensors="pt")
    )
    with torch.inference_mode():
        outputs = model(**inputs)
    return {name: outputs[name].contiguous() for name in ("logits", "numbers") if name in outputs} | dict(inputs)


def said(case: dict[str, Any], kind: str | None) -> Any:
    """Return what the pipeline answers to the case's prompt; nothing where the model has no pipeline."""
    if kind is None:
        return None
    ask = transformers.pipeline(kind, model=case["repo"], trust_remote_code=case["trust"])
    if kind == "fill-mask":
        return [[answer["token"], answer["sequence"]] for answer in ask(case["prompt"])]
    options = {"max_new_tokens": case["new_tokens"], "do_sample": False}
    (text,), (ids,) = ask(case["prompt"], **options), ask(case["prompt"], return_tensors=True, **options)
    return [text["generated_text"], ids["generated_token_ids"]]


def shown(repo: str) -> str:
    """Return what the code on a model's card prints, run as it stands there."""
    card = Path(hf_hub_download(repo, "README.md")).read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    return printed.getvalue()


def refused(case: dict[str, Any]) -> str | None:
    """Return why transformers won't load a model without trust; None if it does."""
    try:
        load(case["repo"], case["auto"], trust=False)
    except ValueError as error:
        return str(error)
    return None


def main() -> None:
    cases, out = json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
    torch.set_num_threads(1)
    tensors, answers = {}, {"hubkit": find_spec("hubkit") is not None, "torch": torch.__version__}
    for name, case in cases.items():
        model, tokenizer = load(case["repo"], case["auto"], case["trust"])
        tensors |= {f"{name}/{part}": value for part, value in computed(model, tokenizer, case["text"]).items()}
        answers[name] = {
            "class": type(model).__module__,
            "said": said(case, case["pipeline"]),
            "shown": shown(case["repo"]),
            "refused": refused(case) if case["trust"] else None,
        }
    save_file(tensors, out / "tensors.safetensors")
    (out / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
