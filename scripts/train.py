"""Train a recipe: `accelerate launch scripts/train.py RECIPE [key=value …]`; the same as `-m hubkit.train`."""

import sys

from hubkit.train import main

if __name__ == "__main__":
    sys.exit(main())
