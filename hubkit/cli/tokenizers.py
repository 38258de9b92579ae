"""`hubkit tokenizer …`: tokenizers made from a corpus."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show, show_json

tokenizer = typer.Typer(help="Tokenizers, trained on a corpus.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    app.add_typer(tokenizer, name="tokenizer")


@tokenizer.callback()
def _group() -> None:
    pass


@tokenizer.command()
def train(
    corpus: Annotated[str, typer.Argument(help="A folder, a Parquet or JSONL file, or OWNER/NAME on the Hub.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tokenizer.")],
    vocab_size: Annotated[int, typer.Option(help="How many ids.")] = 50_257,
    special: Annotated[
        list[str] | None, typer.Option(help="A special token; repeat for more (default: <|endoftext|>).")
    ] = None,
    column: Annotated[str, typer.Option(help="The column of text.")] = "text",
    split: Annotated[str, typer.Option(help="The split to train on.")] = "train",
    limit: Annotated[int | None, typer.Option(help="Read at most so many rows.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a corpus on the Hub (default: newest).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record of the training.")] = False,
) -> None:
    """Train a byte-level BPE on the texts of a corpus; it loads in plain transformers."""
    from hubkit.corpora.texts import corpus_texts
    from hubkit.tokenizers.bpe import SPECIAL, check_free, check_settings, followed, save_trained, train_bpe

    tokens = tuple(special) if special else SPECIAL
    check_settings(vocab_size, tokens)
    check_free(out)
    texts = corpus_texts(corpus, column, split, limit, revision)
    with progress_bar("rows") as progress:
        made = train_bpe(followed(texts, texts.total, progress), vocab_size, tokens)
    settings = {"vocab_size": vocab_size, "special": list(tokens), "limit": limit}
    record = save_trained(made, out, {"corpus": texts.source, "rows": texts.rows, "settings": settings})
    if as_json:
        show_json(record)
    else:
        show(f"{len(made):,} ids from {texts.rows:,} rows  {record['tokenizer_sha256'][:16]}")
    if texts.absent:
        say(f"{texts.absent:,} rows had no {column} and were left out")
    if len(made) < vocab_size:
        say(f"{corpus} has words for {len(made):,} ids only, of {vocab_size:,} asked for")
    source = "CORPUS" if Path(corpus).is_file() else shlex.quote(corpus)
    next_step(f"hubkit build tokens --set corpus={source} --set tokenizer={shlex.quote(str(out))} -o OUT")
