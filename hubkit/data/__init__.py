"""From corpora on the Hub to batches: tokens, windows, mixtures, and what is asked of them."""
