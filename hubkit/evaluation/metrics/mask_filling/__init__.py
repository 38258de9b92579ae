"""How well ranked guesses hit a number; `evaluate.load` takes this folder."""
