"""A build on many machines: the stages of :mod:`hubkit.corpora.stages` as tasks of Slurm or of Ray, through datatrove.

datatrove gives out ranks, keeps the marks of those that are done, and speaks to the schedulers. Which rows there are,
and what of them is left, is known by the build's own folder, which all machines must see: the result is that of a
build on one machine, hash for hash. Its logs and pickles lie in `FOLDER/.hubkit-build/cluster` and go with that folder.
"""
