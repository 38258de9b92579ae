"""Modules of the `evaluate` library; each folder stands alone and is loaded by its path."""
