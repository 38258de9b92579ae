"""The demo Space: composed for models at their commits, and served on this machine."""

from hubkit.demo.composing import PACKAGE, compose_space, copy_app
from hubkit.demo.running import RunningSpace, fetch_space

__all__ = ["PACKAGE", "RunningSpace", "compose_space", "copy_app", "fetch_space"]
