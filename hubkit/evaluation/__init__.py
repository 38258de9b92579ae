"""Evaluations: each asks a model its questions and scores the answers with a module of the `evaluate` library."""
