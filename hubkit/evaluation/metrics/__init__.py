"""Modules of the `evaluate` library; each stands alone and is loaded by its path."""
