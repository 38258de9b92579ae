"""hubkit: from one written-down spec to a corpus, a model and a demo on the Hugging Face Hub."""

__version__ = "0.1.0"
