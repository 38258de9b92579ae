"""What the cards' rules call gone is gone from the libraries that are installed."""

import importlib
import inspect

import pytest

from hubkit.cards import gone, legal


@pytest.mark.parametrize("library", gone.NAMES)
def test_names_are_gone(library):
    assert set(gone.NAMES[library]) & set(dir(importlib.import_module(library))) == set()


@pytest.mark.slow
def test_methods_and_arguments_are_gone():
    import datasets
    import transformers

    tokenizers = (transformers.PreTrainedTokenizerBase, transformers.PreTrainedTokenizerFast)
    assert [name for name in gone.METHODS if any(hasattr(tokenizer, name) for tokenizer in tokenizers)] == []
    functions = {
        "from_pretrained": transformers.PreTrainedModel.from_pretrained,
        "load_dataset": datasets.load_dataset,
        "pipeline": transformers.pipeline,
        "Trainer": transformers.Trainer,
        "TrainingArguments": transformers.TrainingArguments,
    }
    for name, words in gone.KEYWORDS.items():
        assert words.keys() & inspect.signature(functions[name]).parameters.keys() == set(), name


@pytest.mark.slow
def test_pipelines_are_gone():
    from transformers.pipelines import check_task

    for task in [*gone.PIPELINES, "translation_en_to_fr"]:
        with pytest.raises(KeyError):
            check_task(task)


@pytest.mark.slow
def test_legal_values_hold_what_todays_tools_write():
    from transformers.pipelines import SUPPORTED_TASKS

    own = {"decision", "keypoint-matching", "zero-shot-audio-classification"}
    assert SUPPORTED_TASKS.keys() - legal.TASKS <= own
    assert {"apache-2.0", "mit", "other", "cc-by-4.0", "llama3.3"} <= legal.LICENSES
    assert {"transformers", "peft", "diffusers"} <= legal.LIBRARIES
    assert [legal.is_language(tag) for tag in ("en", "zh-Hant-TW", "multilingual", "code", "english", "xx")] == [
        *(True,) * 4,
        *(False,) * 2,
    ]
