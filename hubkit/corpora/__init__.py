"""Corpora: from a spec to a folder of Parquet with a manifest."""
