"""`hubkit prompt` in a pipe, by an argument, and in a terminal."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest
import torch
import typer
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForMaskedLM
from typer.testing import CliRunner

from hubkit.cli import prompt
from hubkit.errors import UserError
from hubkit.models.streaming import stream
from hubkit.tokenizers import make_tokenizer, save_tokenizer

torch.set_num_threads(1)
RUN = "import typer\nfrom hubkit.cli import prompt\napp = typer.Typer()\nprompt.register(app)\napp()\n"


@pytest.fixture(scope="module")
def letters():
    return make_tokenizer("characters:AB")


def make(letters, folder, **config):
    torch.manual_seed(3)
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 400, "initializer_range": 0.5}
    ids = {"bos_token_id": letters.bos_token_id, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(letters), **shape, **ids, **config)).eval()
    model.save_pretrained(folder)
    save_tokenizer(letters, folder)
    return model


@pytest.fixture(scope="module")
def forward(letters, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forward")
    return folder, make(letters, folder)


@pytest.fixture(scope="module")
def backward(letters, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backward")
    return folder, make(letters, folder, direction="backward")


def run(*arguments, stdin=None):
    app = typer.Typer()
    prompt.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def text(letters, model, given, **settings):
    settings = {"max_new_tokens": 7, "temperature": 0, **settings}
    return list(stream(model, letters, given, **settings))[-1].text


GREEDY = ("--temperature", "0", "--max-new-tokens", "7")


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_text_is_printed_in_reading_order(letters, request, way):
    folder, model = request.getfixturevalue(way)
    done = run(folder, "AB", *GREEDY)
    assert done.exit_code == 0, done.output
    expected = text(letters, model, "AB")
    assert done.stdout == expected + "\n"
    assert expected.startswith("AB") if way == "forward" else expected.endswith("AB")
    assert f"next: hubkit publish {folder} OWNER/NAME" in done.stderr


def test_each_line_of_stdin_is_a_prompt(letters, forward):
    folder, model = forward
    done = run(folder, *GREEDY, stdin="AB\nBBA\n")
    assert done.stdout.splitlines() == [text(letters, model, "AB"), text(letters, model, "BBA")]
    assert done.stderr == ""


def test_settings_reach_the_model(letters, forward):
    folder, model = forward
    options = ("--seed", "4", "--top-k", "3", "--top-p", "0.9", "--temperature", "1.5", "--max-new-tokens", "20")
    expected = text(letters, model, "A", seed=4, top_k=3, top_p=0.9, temperature=1.5, max_new_tokens=20)
    assert run(folder, "A", *options).stdout == run(folder, "A", *options).stdout == expected + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x"], "prompt: character 1, 'x', is one that the model's vocabulary can't spell"),
        (["A", "--direction", "backward"], "direction: this model was trained forward, not backward"),
        (["A", "--top-p", "0"], "top_p: 0.0 is not above 0"),
        (["A", "--revision", "v1.0.0"], "--revision: "),
    ],
)
def test_what_cant_be_done_is_the_users_to_mend(forward, options, message):
    done = run(forward[0], *options)
    assert isinstance(done.exception, UserError)
    assert message in str(done.exception)


@pytest.fixture(scope="module")
def fills(tmp_path_factory):
    """A model that fills masks."""
    folder = tmp_path_factory.mktemp("fills")
    tokenizer = make_tokenizer("lorenz")
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = RobertaForMaskedLM(RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=500, **shape))
    model.lm_head.bias.data[tokenizer.convert_tokens_to_ids("42")] = 9.0
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def test_masks_are_filled(fills):
    lines = run(fills, "[?.05, 1?]").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["mask 1", "mask 2"]
    assert all(line.split("\t")[1].startswith("42 9") and line.count("%") == 5 for line in lines)


@pytest.mark.parametrize(
    "option",
    [
        ("--max-new-tokens", "100"), ("--temperature", "1.0"), ("--top-k", "0"), ("--top-p", "0.5"), ("--seed", "1"),
        ("--direction", "forward"),
    ],
    ids=lambda option: option[0],
)  # fmt: skip
def test_a_masked_model_refuses_what_means_nothing_to_it(fills, option):
    done = run(fills, "[?.05, 1?]", *option)
    assert isinstance(done.exception, UserError) and done.stdout == ""
    assert str(done.exception) == (
        f"{option[0]}: this model fills masks and writes no text, so it means nothing here; leave it out"
    )


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", RUN, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def wait_for(self, part, seconds=60):
        """Read until a part is seen, and forget all up to its end."""
        deadline = time.monotonic() + seconds
        while part not in self.seen and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096).decode()
        before, found, self.seen = self.seen.partition(part)
        assert found, f"{part!r} did not come; there is {before!r}"
        return before

    def type(self, keys):
        os.write(self.master, keys.encode())

    def interrupt(self, presses=5):
        """Press Ctrl-C until the command ends: Python loses one that comes as `input` begins to wait."""
        for _ in range(presses):
            self.type("\x03")
            try:
                self.process.wait(30)
                return
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"it did not end; there is {self.seen!r}")


@pytest.mark.slow
def test_a_terminal_asks_line_after_line_and_redraws_what_grows_to_the_left(letters, backward):
    folder, model = backward
    terminal = Terminal(folder, *GREEDY)
    try:
        terminal.wait_for("The model writes what comes before your line.")
        terminal.wait_for("> ")
        terminal.type("x\n")
        terminal.wait_for("hubkit: prompt: character 1, 'x', is one")
        terminal.wait_for("> ")
        terminal.type("AB\n")
        final = text(letters, model, "AB")
        drawn = terminal.wait_for(f"\r\x1b[K{final}\r\n")
        assert drawn.count("\r\x1b[K") == 7, "one for each token"
        terminal.wait_for("> ")
        terminal.interrupt()
        assert terminal.process.returncode == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
