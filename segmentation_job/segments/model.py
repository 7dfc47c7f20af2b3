"""A model: what was learned at one date, as plain data addressed by the hash of its content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from segmentation_job.segments.algorithms import Geometry
from segmentation_job.segments.encoding import (
    VALUE,
    EncodedColumn,
    Encoding,
    FeatureEncoding,
    FloatArray,
    RawValues,
    encode,
)

_FLAT_ENCODINGS = ("log", "as_is")
_FLAT_KEYS = ("low", "high", "mean", "scale")


@dataclass(frozen=True)
class Recipe:
    """What the encoded sample needs beside it to be fitted again.

    seed: of the random starts · restarts: how many of them the best was taken of · start: k × encoded columns, the
    means that a refit started from instead; empty where the starts were random.
    """

    seed: int
    restarts: int
    start: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Model:
    """An immutable segmentation model.

    lens_name, lens_version: the lens it was fitted for · fitted_as_of: everything it knows happened before ·
    parent_version: the model it follows, None for the first · centroids: k × encoded columns ·
    segment_keys, relations ("kept" or "new"): by cluster · outlier_cost: by cluster, the cost that one in two hundred
    of its fitting customers exceed (of hdbscan: the largest of those that it does not call noise) · maps, offsets: how
    a cost is measured where it is not the squared distance to a centroid, see `algorithms.Geometry` · origins_hash:
    of the cluster of everybody in scope at the fit, on which later labels stand · recipe: how to fit it again, None of
    a model that was stored before recipes were. Raises ValueError where lengths
    disagree with k.
    """

    lens_name: str
    lens_version: str
    algorithm: str
    k: int
    fitted_as_of: date
    parent_version: str | None
    encoding: Encoding
    centroids: tuple[tuple[float, ...], ...]
    segment_keys: tuple[str, ...]
    relations: tuple[str, ...]
    outlier_cost: tuple[float, ...]
    maps: tuple[tuple[tuple[float, ...], ...], ...] = ()
    offsets: tuple[float, ...] = ()
    origins_hash: str = ""
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        for name in ("centroids", "segment_keys", "relations", "outlier_cost"):
            if len(getattr(self, name)) != self.k:
                found = len(getattr(self, name))
                raise ValueError(f"model of {self.lens_name}: {name} has {found} entries for {self.k} clusters")
        if len(set(self.segment_keys)) != self.k:
            raise ValueError(f"model of {self.lens_name}: two clusters share a segment key")
        try:
            self.geometry  # noqa: B018 - it refuses shapes that do not fit together
        except ValueError as error:
            raise ValueError(f"model of {self.lens_name}: {error}") from error

    @property
    def version(self) -> str:
        """Sixteen hex digits of what was learned, when and after which model.

        Segment keys and relations stay out: the key of a segment born here is made from this version. So does the
        recipe, which says how it was learned.
        """
        return hashlib.sha256(_json(self._learned()).encode()).hexdigest()[:16]

    @property
    def geometry(self) -> Geometry:
        """Where the clusters lie and how far it is to them, as arrays."""
        return Geometry(
            centroids=np.array(self.centroids, dtype=np.float64),
            maps=tuple(np.array(each, dtype=np.float64) for each in self.maps),
            offsets=np.array(self.offsets, dtype=np.float64) if self.offsets else None,
        )

    def cost(self, values: RawValues) -> FloatArray:
        """The cost of each cluster for each customer: lower is nearer, never negative.

        values: (n, d) raw, in the lens's feature order, NaN where missing. Returns (n, k); of k-means and its kin the
        squared distance to the centroid.
        """
        return self.geometry.cost(encode(values, self.encoding))

    def to_json(self) -> str:
        """The whole model as JSON with sorted keys; `from_json` gives an equal one back."""
        identity = {"segment_keys": self.segment_keys, "relations": self.relations, "version": self.version}
        recipe = {} if self.recipe is None else {"recipe": asdict(self.recipe)}
        return _json({**self._learned(), **identity, **recipe})

    @classmethod
    def from_json(cls, text: str) -> Model:
        """The model that `to_json` wrote. Raises ValueError where the content and its version disagree."""
        content: dict[str, Any] = json.loads(text)
        model = cls(
            lens_name=content["lens_name"],
            lens_version=content["lens_version"],
            algorithm=content["algorithm"],
            k=content["k"],
            fitted_as_of=date.fromisoformat(content["fitted_as_of"]),
            parent_version=content["parent_version"],
            encoding=Encoding(tuple(_read(feature) for feature in content["encoding"])),
            centroids=tuple(tuple(centroid) for centroid in content["centroids"]),
            segment_keys=tuple(content["segment_keys"]),
            relations=tuple(content["relations"]),
            outlier_cost=tuple(content["outlier_cost"]),
            maps=tuple(tuple(tuple(row) for row in each) for each in content.get("maps", ())),
            offsets=tuple(content.get("offsets", ())),
            origins_hash=content.get("origins_hash", ""),
            recipe=_read_recipe(content["recipe"]) if "recipe" in content else None,
        )
        if model.version != content["version"]:
            raise ValueError(
                f"model {content['version']} of lens {model.lens_name} was changed after it was stored: "
                f"its content hashes to {model.version}; restore the stored row"
            )
        return model

    def _learned(self) -> dict[str, Any]:
        # What most models do not have stays out of their content.
        further = {name: held for name in ("maps", "offsets", "origins_hash") if (held := getattr(self, name))}
        return {
            **further,
            "lens_name": self.lens_name,
            "lens_version": self.lens_version,
            "algorithm": self.algorithm,
            "k": self.k,
            "fitted_as_of": self.fitted_as_of.isoformat(),
            "parent_version": self.parent_version,
            "encoding": [_written(feature) for feature in self.encoding.features],
            "centroids": self.centroids,
            "outlier_cost": self.outlier_cost,
        }


def _written(feature: FeatureEncoding) -> dict[str, Any]:
    """The content of a feature's encoding; of a number in one column flat, as it was before there were others."""
    content = asdict(feature)
    if feature.encoding in _FLAT_ENCODINGS and feature.columns[0].weight == 1.0:
        (column,) = content["columns"]
        bounds = {name: column[name] for name in _FLAT_KEYS}
        return {**{name: content[name] for name in ("column", "encoding", "fill", "is_idle")}, **bounds}
    return content


def _read(content: dict[str, Any]) -> FeatureEncoding:
    """The encoding that `_written` gave the content of."""
    if "columns" not in content:
        column = EncodedColumn(part=VALUE, category="", weight=1.0, **{name: content[name] for name in _FLAT_KEYS})
        return FeatureEncoding(
            content["column"], content["encoding"], (), content["fill"], (column,), content["is_idle"]
        )
    columns = tuple(EncodedColumn(**column) for column in content["columns"])
    return FeatureEncoding(**{**content, "order": tuple(content["order"]), "columns": columns})


def _read_recipe(content: dict[str, Any]) -> Recipe:
    return Recipe(content["seed"], content["restarts"], tuple(tuple(mean) for mean in content["start"]))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
