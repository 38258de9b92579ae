"""Tokenizers from a name, a folder or a file: as the stock class, with the special tokens that they had."""

import json

import httpx2
import pytest

from hubkit.errors import UserError
from hubkit.tokenizers import save_tokenizer, tokenizer_sha256
from hubkit.tokenizers.bpe import train_bpe
from hubkit.tokenizers.characters import are_characters, character_tokenizer
from hubkit.tokenizers.encoding import Encoder
from hubkit.tokenizers.loading import load_rules, load_tokenizer


@pytest.fixture(scope="module")
def trained():
    return train_bpe(["a cat sat on a mat"] * 3, 262)


def test_hubkits_own_come_by_name():
    assert tokenizer_sha256(load_tokenizer("characters:BA")) == tokenizer_sha256(character_tokenizer("AB"))
    assert load_tokenizer("lorenz").mask_token == "?"


def test_what_was_saved_is_loaded_whole(tmp_path, trained):
    tokenizer = train_bpe(["a cat sat on a mat"] * 3, 262)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|forward|>", "<meta_lang_0>"]})
    tokenizer.eos_token = None
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert type(loaded).__name__ == type(tokenizer).__name__ and len(loaded) == len(tokenizer) == len(trained) + 2
    assert loaded.all_special_tokens == tokenizer.all_special_tokens
    assert (loaded.bos_token, loaded.eos_token) == ("<|endoftext|>", None), "that there is none is said, not forgotten"
    assert tokenizer_sha256(loaded) == tokenizer_sha256(tokenizer)


@pytest.mark.parametrize(
    "config",
    [
        {"additional_special_tokens": ["a", {"content": "b"}], "bos_token": {"content": "<|endoftext|>"}},
        {"extra_special_tokens": {"image_token": "a", "sound_token": "b"}, "bos_token": "<|endoftext|>"},
    ],
    ids=["4", "5"],
)
def test_special_tokens_are_read_as_each_version_of_transformers_writes_them(tmp_path, trained, config):
    trained.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.bos_token == "<|endoftext|>" and loaded.eos_token is None
    assert set(loaded.all_special_tokens) == {"<|endoftext|>", "a", "b"}


@pytest.mark.parametrize("config", [None, {"model_max_length": 1024}], ids=["without a config", "GPT-2's"])
def test_where_nothing_is_said_the_end_of_text_begins_and_ends_texts(tmp_path, trained, config):
    trained.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    for where in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = load_tokenizer(str(where))
        assert loaded.bos_token_id == loaded.eos_token_id == 0
        assert loaded("a cat")["input_ids"] == trained("a cat")["input_ids"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"tokenizer: 'nothing' is no folder, no file and no repository OWNER/NAME"),
        ("./nothing", r"tokenizer: './nothing' is no folder, no file and no repository OWNER/NAME"),
        ("characters:AA", "stands twice"),
    ],
)
def test_what_is_no_tokenizer_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        load_tokenizer(name)


def test_a_folder_without_a_tokenizer_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no tokenizer\.json; save a fast tokenizer there"):
        load_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json is no tokenizer: .*; save it again"):
        load_tokenizer(str(tmp_path))


def test_characters_stay_characters_with_more_tokens_and_after_a_file(tmp_path, trained):
    tokenizer = character_tokenizer("AB")
    assert are_characters(tokenizer.backend_tokenizer) and not are_characters(trained.backend_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|forward|>"]})
    save_tokenizer(tokenizer, tmp_path)
    for one in (tokenizer, load_tokenizer(str(tmp_path))):
        assert are_characters(one.backend_tokenizer) and load_rules(one).in_texts
        assert Encoder(one).encode_batch(["{AB,B}"])[0].tolist() == [2, 0, 1, 4, 1, 3], "start and stop are in the text"


def test_of_a_repository_on_the_hub_only_the_tokenizer_is_asked_for(here, tmp_path, trained, monkeypatch):
    save_tokenizer(trained, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights" * 1000)
    (tmp_path / "model" / "config.json").write_text("{}")
    here.create_repo("tokens/large")
    here.upload_folder(repo_id="tokens/large", folder_path=tmp_path / "model")
    asked = []
    send = httpx2.Client.send
    monkeypatch.setattr(httpx2.Client, "send", lambda client, request, **more: (
        asked.append(request.url.path), send(client, request, **more)
    )[1])  # fmt: skip
    loaded = load_tokenizer("tokens/large")
    assert tokenizer_sha256(loaded) == tokenizer_sha256(trained)
    files = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
    assert files == {"tokenizer.json", "tokenizer_config.json"}

    here.create_repo("tokens/none")
    here.upload_file(repo_id="tokens/none", path_or_fileobj=b"{}", path_in_repo="config.json")
    with pytest.raises(UserError, match=r"tokenizer: tokens/none has no tokenizer\.json; save a fast tokenizer there"):
        load_tokenizer("tokens/none")
