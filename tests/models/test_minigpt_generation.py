"""Generation: the cache changes nothing, whatever the way of choosing tokens, and padding on the left neither."""

import pytest
import torch
from transformers import DynamicCache, StaticCache

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM

MODERN = {"position": "rope", "mlp": "swiglu", "norm": "rmsnorm"}
WAYS = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "temperature": 0.8, "top_k": 10, "top_p": 0.9},
    "beam": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tiny(**fields):
    torch.manual_seed(0)
    shape = {"vocab_size": 30, "n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 40, "initializer_range": 0.4}
    return MiniGPTForCausalLM(MiniGPTConfig(**(shape | {"pad_token_id": 0} | fields))).eval()


def prompts(rows=2, length=6):
    return torch.randint(1, 30, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("fields", [{}, MODERN], ids=["plain", "modern"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("way", WAYS)
def test_the_cache_changes_nothing(fields, attention, way):
    model, found = tiny(attn_implementation=attention, **fields), []
    for use_cache in (True, False):
        torch.manual_seed(4)
        found.append(model.generate(prompts(), max_new_tokens=20, use_cache=use_cache, **WAYS[way]))
    assert torch.equal(*found)
    assert found[0].shape[1] == 26


@pytest.mark.parametrize("fields", [{}, MODERN], ids=["plain", "modern"])
@pytest.mark.parametrize("use_cache", [False, True])
def test_a_batch_padded_on_the_left_continues_as_its_rows_do(fields, use_cache):
    model = tiny(**fields)
    long, short = prompts(1, 9), prompts(1, 4)
    ids = torch.cat([long, torch.cat([torch.zeros(1, 5, dtype=torch.long), short], 1)])
    there = (torch.arange(9) >= torch.tensor([[0], [5]])).long()
    settings = {"max_new_tokens": 12, "do_sample": False, "use_cache": use_cache}
    both = model.generate(ids, attention_mask=there, **settings)
    assert torch.equal(both[:1], model.generate(long, **settings))
    assert torch.equal(both[1:, 5:], model.generate(short, **settings))


@pytest.mark.parametrize("fields", [{}, MODERN], ids=["plain", "modern"])
def test_pieces_fed_one_by_one_give_the_logits_of_the_whole(fields):
    model, ids = tiny(**fields), prompts(2, 12)
    cache, pieces = DynamicCache(config=model.config), []
    with torch.no_grad():
        whole = model(ids).logits
        for part in ids.split([5, 1, 4, 2], dim=1):
            out = model(part, past_key_values=cache, use_cache=True)
            assert out.past_key_values is cache
            pieces.append(out.logits)
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-5)


def test_a_static_cache_gives_the_same_tokens():
    model = tiny(**MODERN)
    static = StaticCache(config=model.config, max_cache_len=20)
    settings = {"max_new_tokens": 10, "do_sample": False}
    found = model.generate(prompts(), past_key_values=static, disable_compile=True, **settings)
    assert torch.equal(found, model.generate(prompts(), **settings))


def test_embeddings_can_be_the_prompt():
    model = tiny()
    embedded = model.get_input_embeddings()(prompts())
    settings = {"max_new_tokens": 8, "do_sample": False}
    found = model.generate(inputs_embeds=embedded, attention_mask=torch.ones(2, 6, dtype=torch.long), **settings)
    assert torch.equal(found, model.generate(prompts(), **settings)[:, 6:])


def test_a_row_stops_at_its_end_and_is_filled_up():
    model = tiny()
    free = model.generate(prompts(), max_new_tokens=12, do_sample=False)
    end = int(free[0, 8])
    stopped = model.generate(prompts(), max_new_tokens=12, do_sample=False, eos_token_id=end)
    first = free[0, 6:].tolist().index(end) + 7
    assert torch.equal(stopped[0, :first], free[0, :first]) and not stopped[0, first:].any()


def test_training_and_losses_keep_no_cache():
    model = tiny()
    assert model(prompts()).past_key_values is not None
    assert model(prompts(), labels=prompts()).past_key_values is None
    assert model.train()(prompts()).past_key_values is None


def test_a_single_token_may_have_another_type():
    model = tiny().to(torch.bfloat16)
    with torch.no_grad():
        assert model(prompts(1, 1)).logits.dtype == torch.bfloat16
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(tiny()(prompts(1, 1)).logits).all()
