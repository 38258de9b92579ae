"""Train a recipe: `accelerate launch scripts/train.py RECIPE [key=value …]`; the same as `-m hubkit.train`."""

from hubkit.train import leave, main

if __name__ == "__main__":
    leave(main())
