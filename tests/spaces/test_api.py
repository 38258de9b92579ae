"""The Space's public endpoint, as another program calls it."""

import json
import re

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError


@pytest.fixture(scope="module")
def client(app) -> Client:
    return Client(app.url, verbose=False)


def test_fill_answers_with_what_json_can_hold(client, world):
    text = world.replace("[10.05", "[?.05").replace("[0.22", "[?.22")
    answer = client.predict(text, api_name="/fill")
    assert json.loads(json.dumps(answer)) == answer
    assert [mask["index"] for mask in answer["masks"]] == [1, 2]
    tokens = answer["masks"][0]["tokens"]
    assert len(tokens) == 10
    assert tokens[0]["token"] == "10"
    assert 0 < tokens[1]["probability"] <= tokens[0]["probability"] < 1
    assert answer["filled"] == world.replace("[0.22", "[10.22")


def test_a_refusal_reaches_the_caller_as_its_message(client, world):
    with pytest.raises(AppError, match="There is no mask in the text"):
        client.predict(world, api_name="/fill")


def test_generate_answers_with_the_text_in_reading_order(client):
    forward = client.predict("{AAB,", 12, 0.8, 0, 1.0, 5, "forward", api_name="/generate")
    assert json.loads(json.dumps(forward)) == forward
    assert forward["text"] == "{AAB," + forward["new"]
    assert (forward["tokens"], forward["ended"]) in [(12, "length"), (forward["tokens"], "token")]
    assert client.predict("{AAB,", 12, 0.8, 0, 1.0, 5, "forward", api_name="/generate") == forward
    backward = client.predict(",AAB}", 12, 0.8, 0, 1.0, 5, "backward", api_name="/generate")
    assert backward["text"] == backward["new"] + ",AAB}"


def test_generate_needs_a_prompt_alone(client):
    assert client.predict("{AAB,", api_name="/generate")["text"].startswith("{AAB,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["AXB"], "Prompt: character 2, 'X', is one that the model's vocabulary can't spell"),
        (["A" * 200], "Prompt: it takes 201 tokens, and this model reads 200; shorten it."),
        (["A", 513], "513 tokens are too many at once; ask for 512 at most"),
        (["A", 5, -1.0], "Temperature: -1.0 is not 0 or more"),
        (["A", 5, 1.0, 0, 1.0, 0, "up"], "Direction: this model was trained both, not up"),
    ],
)
def test_generate_refuses_with_its_message(client, arguments, message):
    with pytest.raises(AppError, match=re.escape(message)):
        client.predict(*arguments, api_name="/generate")


def test_nothing_else_is_public(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(named) == ["/fill", "/generate"]
