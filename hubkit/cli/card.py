"""`hubkit card …`: what is wrong with a card."""

from typing import Annotated, Literal

import typer

from hubkit.cli.output import next_step, say, show, show_json
from hubkit.errors import UserError

app = typer.Typer(help="Cards: what is wrong with one, whoever wrote it.", no_args_is_help=True)


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="DIR|REPO[@REV]", help="A folder, or a repository on the Hub.")],
    kind: Annotated[
        Literal["dataset", "model", "space"] | None, typer.Option("--type", help="What it is (default: finds out).")
    ] = None,
    repo: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="What a folder is called on the Hub.")] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run its Python, in new processes without your tokens. This is no sandbox.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that each snippet may take with --run.")] = 300,
    ignore: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Leave a rule out; several times.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a card: file, line and mend of all that breaks a rule.

    Exits with 1 where there are errors, and with 2 where the card can't be read. A folder is checked without network.
    """
    from hubkit.cards.card import open_card
    from hubkit.cards.checking import check_card

    try:
        card = open_card(target, kind, repo, seconds=timeout)
        report = check_card(card, run=run, ignore=ignore or ())
    except UserError as error:
        say(f"hubkit: {error}")
        raise typer.Exit(2) from None
    if as_json:
        show_json(report.to_json())
    else:
        for finding in report.findings:
            show(str(finding))
        say(report.summary)
    if report.findings:
        next_step("hubkit card rules")
    else:
        next_step(f"hubkit lineage {card.name}" if card.files.far else f"hubkit publish {target} OWNER/NAME")
    raise typer.Exit(0 if report.passes(strict) else 1)


@app.command()
def rules(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the rules: name, severity, and what holds in a good card."""
    from hubkit.cards.checking import RULES

    if as_json:
        fields = ("name", "severity", "about", "kinds")
        show_json([{field: getattr(rule, field) for field in fields} for rule in RULES.values()])
        return
    width = max(map(len, RULES))
    for rule in RULES.values():
        show(f"{rule.name:{width}}  {rule.severity:7}  {rule.about}")
    next_step("hubkit card check DIR")
