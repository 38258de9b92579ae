import typer

app = typer.Typer()


def register(app):
    pass
