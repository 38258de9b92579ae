"""What a shipped recipe's header tells people to type makes what the recipe reads."""

import re
import shlex
from itertools import pairwise
from typing import NamedTuple

import pytest

from hubkit.corpora.registry import find
from hubkit.errors import UserError
from hubkit.resources import resource
from hubkit.tokenizers.loading import is_own
from hubkit.training.recipe import read_recipe, recipes


class Header(NamedTuple):
    """The comment at the top of a recipe."""

    text: str
    """Without the marks of the comment; a command that goes on in the next line is one line."""
    commands: list[list[str]]
    """The words of each command of hubkit."""
    changes: list[list[str]]
    """Overrides that it suggests, those of each line."""


def header(name: str) -> Header:
    lines = (resource("scripts", "recipes") / f"{name}.yaml").read_text().splitlines()
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines if line.startswith("#"))
    text = text.replace("\\\n", " ")
    commands = [shlex.split(command) for command in re.findall(r"\bhubkit [^;\n]+", text)]
    changes = [shlex.split(line) for line in text.split("\n") if re.match(r"  +'?[\w.]+=", line)]
    return Header(text, commands, changes)


def option(words: list[str], *names: str) -> list[str]:
    """Return the values that an option has in a command."""
    return [value for name, value in pairwise(words) if name in names]


def made(commands: list[list[str]]) -> dict[str, str]:
    """Return what lies in each folder that the commands make: the name of a config, or ``tokenizer``."""
    folders: dict[str, str] = {}
    for words in commands:
        if words[:2] == ["hubkit", "build"]:
            folders[option(words, "-o")[0]] = words[2]
        elif words[:3] == ["hubkit", "tokenizer", "train"]:
            assert words[3] in folders, "it is trained on a corpus that was made before"
            folders[option(words, "-o")[0]] = "tokenizer"
        else:
            assert words[:2] == ["hubkit", "publish"] and words[2] in folders, words
    return folders


@pytest.mark.parametrize("name", recipes())
def test_its_data_can_be_made_and_is_what_the_recipe_reads(name):
    recipe, (text, commands, _) = read_recipe(name), header(name)
    folders = made(commands)
    published = {words[3]: folders[words[2]] for words in commands if words[1] == "publish"}
    for data in (*recipe.read, *recipe.also_evaluate.values()):
        assert published[str(data.repo)] != "tokenizer"
    if is_own(recipe.tokenizer):
        return
    if recipe.tokenizer.startswith("./"):
        assert folders[recipe.tokenizer.removeprefix("./")] == "tokenizer"
    elif recipe.tokenizer.startswith("lab/"):
        assert published[recipe.tokenizer] == "tokenizer"
    else:
        assert "The tokenizer is on huggingface.co" in text


@pytest.mark.parametrize("name", recipes())
def test_its_corpora_and_changes_are_valid(name):
    _, commands, changes = header(name)
    for words in commands:
        if words[1] == "build":
            assert find(words[2], option(words, "--set"))
    for overrides in changes:
        assert read_recipe(name, overrides) != read_recipe(name)


def test_no_two_recipes_make_different_corpora_of_one_name():
    """Else whoever runs both trains the second on a new release of the first one's."""
    made_as: dict[str, set[str]] = {}
    for name in recipes():
        commands = header(name).commands
        built = {option(words, "-o")[0]: " ".join(words[2:]) for words in commands if words[1] != "publish"}
        for words in commands:
            if words[1] == "publish":
                made_as.setdefault(words[3], set()).add(built[words[2]])
    assert len(made_as) > 5 and [repo for repo, ways in made_as.items() if len(ways) > 1] == []


def test_a_field_that_a_family_does_not_have_would_be_found():
    with pytest.raises(UserError, match="train is not a field"):
        find("lorenz-tiny", ["train=5"])
