"""YAML read by libyaml, which takes an eighth of the time: every step of a night reads the contracts and the lenses."""

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Return what a YAML text says, as plain values; raise yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
