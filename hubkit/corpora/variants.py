"""A family of corpora that differ as a variation says: a spec file for each, and an index of them all."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hubkit.corpora.builder import CorpusSpec
from hubkit.corpora.registry import Corpus
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.specs import Spec, read_yaml
from hubkit.variations import differences, expand

INDEX = "family.json"
"""The index of a folder of specs. It is JSON, so that ``FOLDER/*.yaml`` are the specs and nothing else."""


@dataclass(frozen=True)
class Variants:
    """The members of a family, all of one builder."""

    base: Corpus
    """What they were made of."""
    variation: Spec
    """How."""
    specs: Mapping[str, CorpusSpec]
    """By name, in the variation's order."""

    def index(self) -> dict[str, Any]:
        """Return what each member is called, in which fields it differs from the base, and the sha256 of its spec.

        That is the `spec_sha256` of the corpus which is built from it, unless the spec names files of this machine.
        """
        plain = self.base.builder.spec.model_dump(mode="json")
        members = {
            name: {
                "file": f"{name}.yaml",
                "sha256": spec.sha256,
                "differences": differences(plain, spec.model_dump(mode="json")),
            }
            for name, spec in self.specs.items()
        }
        base = {"config": self.base.config, "sha256": self.base.builder.spec.sha256, "spec": plain}
        return {"base": base, "variation": self.variation.model_dump(mode="json"), "members": members}

    def write(self, folder: Path) -> bool:
        """Write the spec files and, at last, the index; what is there already stays, so that one may do it again.

        Returns:
            Whether anything was missing.

        Raises:
            UserError: The folder holds another family, or a file that would be overwritten.
        """
        files = {f"{name}.yaml": self._text(spec, folder) for name, spec in self.specs.items()}
        files[INDEX] = json.dumps(self.index(), indent=1, ensure_ascii=False) + "\n"
        if folder.exists() and not folder.is_dir():
            raise UserError(f"out: {folder} is a file; name a folder")
        try:
            here = {name: (folder / name).read_bytes() for name in files if (folder / name).exists()}
            changed = [name for name, content in here.items() if content != files[name].encode()]
            if INDEX in changed:
                raise UserError(f"out: {folder} holds another family ({INDEX} differs); name another folder")
            if changed:
                raise UserError(f"out: {folder / changed[0]} is there and says something else; move it away")
            for name, text in files.items():
                if name not in here:
                    write_atomic(folder / name, text)
        except OSError as error:
            raise UserError(f"out: {error.filename}: {error.strerror}; name another folder") from None
        return len(here) < len(files)

    def _text(self, spec: CorpusSpec, folder: Path) -> str:
        """Return the file of a spec in `folder`, with all fields: named configs may change."""
        values = spec.model_dump(mode="json")
        if self.base.reference.endswith(".py"):  # a builder file is named by its path from the spec file
            values["builder"] = os.path.relpath(self.base.reference, folder)
        text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        assert read_yaml(text) == values, "what is written down is read back as it was"
        return text


def vary(base: Corpus, variation: Spec) -> Variants:
    """Return the family that a variation makes of a corpus.

    Args:
        base: The corpus.
        variation: What :func:`hubkit.variations.read_variation` gives.

    Raises:
        UserError: A spec that it makes is impossible (names member, field and mend).
    """
    specs = expand(base.builder.spec, variation)
    for name, spec in specs.items():
        try:
            type(base.builder)(spec)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return Variants(base, variation, specs)


class _Dumper(yaml.SafeDumper):
    """Writes YAML that hubkit reads back: its ``1e-3`` is a number, so a string of that form needs quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what occurs twice in full: an alias is hard to read, and to edit."""
        return True


@cache
def _plain(text: str) -> bool:
    """Whether a string is read as itself without quotes."""
    try:
        return read_yaml(text) == text
    except ValueError:
        return False


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _plain(text) else '"'),
)
