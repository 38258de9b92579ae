"""The Space's public endpoint, as another program calls it."""

import json

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


def test_fill_is_all_that_is_public(client):
    assert list(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == ["/fill"]
