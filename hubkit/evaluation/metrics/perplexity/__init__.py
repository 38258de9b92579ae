"""How well a language model predicts text; `evaluate.load` takes this folder."""
