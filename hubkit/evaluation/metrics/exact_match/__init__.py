"""How often answers are exactly right; `evaluate.load` takes this folder."""
