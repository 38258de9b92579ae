"""The embedded Hub: a small server that speaks the Hugging Face Hub's own protocol on this machine.

The package imports nothing else of hubkit and nothing of huggingface_hub, so it can be read, tested and grown on its
own. A command line needs `hubkit.server.process` only: `serve`, `start`, `stop`, `status`, `client_environment`.

How a request flows: `app` checks the Host header and finds the route by the *raw* path, `context` establishes who asks
and for which repository, one of the `routes_*` modules answers, and `store`, `commits`, `refs`, `trees` and `lfs` do
the work.
"""
