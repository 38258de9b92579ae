"""Training: a recipe, batches that are a function of the step, a loop on accelerate, and exact checkpoints."""
