"""`python -m hubkit` is the command line."""

from hubkit.cli import main

main()
