"""Reads the JSON config files of the original Seqthetic as specs of this family.

JSON here may have comments (``//``, ``#``, ``/* … */``) and commas before a closing bracket. What is read:

========================================  ==============================================================================
top level
``domains``                               list of domains, or a mapping of names to domains
``total_tokens``, ``num_tokens``          `tokens`: a number, or a size such as ``"5M"``
``split``                                 `shares`: ``[0.8, 0.1, 0.1]`` (train, validation, test), or by name
``ratios``, ``mixture``                   the domains' `ratio`: a list in their order, or by name or kind
``vocab``, ``num_vocab`` with ``prob``    the vocabulary of every domain that gives none
``shuffle_dataset``                       `order`: ``mixed``, or ``by_domain`` where it is false
``shuffle_domain_order``                  `shuffle_domains`
``shuffle_domain``                        nothing: the sequences of a domain are independent, in any order
domains
``domain``, ``type``                      the kind, such as ``SortNumbers`` or ``sort_numbers``
``vocab``, ``num_vocab`` with ``prob``    `vocabulary`; prob: ``"uniform"``, ``"zipf"``, ``{"alpha": 1, "beta": 2.7}``
========================================  ==============================================================================

Every other field goes by its name in the spec (`seed`, `offset`, `length`, `reverse`, `num_duplicate`, `nums`, …), and
one that the spec doesn't know is refused there, by name.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.errors import UserError
from hubkit.sequences import DOMAINS

_SPLITS = ("train", "validation", "test")
_OTHER_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}
_KINDS = {kind.replace("_", ""): kind for kind in DOMAINS} | {"discretizedfbm": "fbm"}
_PIECES = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)
_PIECES_OR_COMMAS = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[\]}])', re.DOTALL)


def read_json(text: str) -> Any:
    """Return the value of a JSON text that may have comments and trailing commas.

    Raises:
        ValueError: It is not JSON even so, or an object names a key twice.
    """
    bare = _PIECES.sub(lambda piece: piece[0] if piece[0][0] == '"' else " ", text.removeprefix("\ufeff"))
    bare = _PIECES_OR_COMMAS.sub(lambda piece: piece[0] if piece[0][0] == '"' else " ", bare)
    return json.loads(bare, object_pairs_hook=_object)


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def read_config(text: str) -> dict[str, Any] | None:
    """Return the fields of a spec from the text of a config file, or None where it is something else.

    Raises:
        UserError: It is a config file, and a field of it has no meaning; names field and mend.
    """
    try:
        config = read_json(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or "domains" not in config or {"builder", "config"} & config.keys():
        return None
    values = {"builder": "seqthetic", **config}
    vocabulary = _taken_vocabulary(values, "top level")
    values["domains"] = _domains(values["domains"], vocabulary)
    _spread_ratios(values)
    for name in ("total_tokens", "num_tokens"):
        _move(values, name, "tokens")
    if "split" in values:
        values["shares"] = _shares(values.pop("split"))
    if "shuffle_dataset" in values:
        values["order"] = "mixed" if _flag(values, "shuffle_dataset") else "by_domain"
    if "shuffle_domain_order" in values:
        values["shuffle_domains"] = _flag(values, "shuffle_domain_order")
    if "shuffle_domain" in values:
        _flag(values, "shuffle_domain")
    return values


def _flag(values: dict[str, Any], field: str) -> bool:
    value = values.pop(field)
    if not isinstance(value, bool):
        raise UserError(f"{field}: {value!r} is neither true nor false; write one of them")
    return value


def _move(values: dict[str, Any], old: str, new: str) -> None:
    if old in values:
        if new in values:
            raise UserError(f"{old}: {new} is given too, and means the same; leave one of them out")
        values[new] = values.pop(old)


def _domains(domains: Any, vocabulary: Any) -> list[dict[str, Any]]:
    """Return the domains as the spec takes them; `vocabulary` is for those that give none."""
    if isinstance(domains, Mapping):
        domains = [{"name": name, **_mapping(domain, f"domains.{name}")} for name, domain in domains.items()]
    if not isinstance(domains, list):
        raise UserError(f"domains: {domains!r} is neither a list nor a mapping; list the domains")
    return [_domain(domain, f"domains.{place}", vocabulary) for place, domain in enumerate(domains)]


def _domain(domain: Any, where: str, vocabulary: Any) -> dict[str, Any]:
    values = dict(_mapping({"domain": domain} if isinstance(domain, str) else domain, where))
    _move(values, "type", "domain")
    own = _taken_vocabulary(values, where)
    values.setdefault("domain", values.get("name"))
    kind = _KINDS.get(re.sub(r"domain$|[^a-z0-9]", "", str(values["domain"]).lower()))
    if kind is None:
        raise UserError(f"{where}.domain: {values['domain']!r} is unknown (known: {', '.join(DOMAINS)})")
    values["domain"] = kind
    if own is not None:
        values["vocabulary"] = own
    elif vocabulary is not None and "vocabulary" in DOMAINS[kind].model_fields:
        values.setdefault("vocabulary", vocabulary)
    return values


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: {value!r} is not a group of fields; write an object")
    return value


def _taken_vocabulary(values: dict[str, Any], where: str) -> dict[str, Any] | None:
    """Take the fields of a vocabulary out of `values` and return them as the spec has them, or None without any."""
    fields = dict(_mapping(values.pop("vocab", {}), f"{where}: vocab"))
    fields |= {name: values.pop(name) for name in ("num_vocab", "prob") if name in values}
    unknown = sorted(fields.keys() - {"num_vocab", "prob"})
    if unknown:
        raise UserError(f"{where}: vocab: {unknown[0]} is not a field (known: num_vocab, prob)")
    if not fields:
        return None
    prob = fields.get("prob", "uniform")
    if isinstance(prob, Mapping):
        prob = {"kind": "zipf", **prob}
    vocabulary = {"distribution": prob.lower() if isinstance(prob, str) else prob}
    return vocabulary | ({"size": fields["num_vocab"]} if "num_vocab" in fields else {})


def _spread_ratios(values: dict[str, Any]) -> None:
    """Give the ratios of the top level to the domains."""
    _move(values, "mixture", "ratios")
    if "ratios" not in values:
        return
    ratios, domains = values.pop("ratios"), values["domains"]
    if isinstance(ratios, Mapping):
        left = {str(name): ratio for name, ratio in ratios.items()}
        for domain in domains:
            name = domain.get("name", domain["domain"])
            named = next((key for key in left if key == name or _KINDS.get(key.lower().replace("_", "")) == name), None)
            if named is None:
                raise UserError(f"ratios: {name} has none; give each domain one")
            domain["ratio"] = left.pop(named)
        if left:
            raise UserError(f"ratios: {next(iter(left))!r} is the name of no domain; leave it out or mend it")
    elif isinstance(ratios, list) and len(ratios) == len(domains):
        for domain, ratio in zip(domains, ratios, strict=True):
            domain["ratio"] = ratio
    else:
        raise UserError(f"ratios: {ratios!r} does not give each of the {len(domains)} domains one; list as many")


def _shares(split: Any) -> Any:
    if isinstance(split, Mapping):
        return {_OTHER_NAMES.get(name, name): share for name, share in split.items()}
    if isinstance(split, list) and 1 <= len(split) <= len(_SPLITS):
        names = ("train", "test") if len(split) == 2 else _SPLITS
        return dict(zip(names, split, strict=False))
    raise UserError(f"split: {split!r} is no list of up to three shares; write [0.8, 0.1, 0.1] or name the splits")
