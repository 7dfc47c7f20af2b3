"""A lens: one way to look at customers, declared in YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, NoReturn

import yaml

from segmentation_job.segments.errors import LensError

NUMBER_ENCODINGS = ("log", "as_is", "hurdle")
CATEGORY_ENCODINGS = ("one_hot", "ordinal")
ENCODINGS = NUMBER_ENCODINGS + CATEGORY_ENCODINGS
ALGORITHM_NAMES = (
    "kmeans", "bisecting_kmeans", "minibatch_kmeans", "gaussian_mixture", "ward", "hdbscan", "famd_kmeans",
)  # fmt: skip
DIRECTIONS = ("high", "low", "missing")
# How a figure of the feature is written and compared: 38.20 · 14 · 21 days · 35% · 0.42 · 670 · 'Married'
UNITS = ("amount", "count", "days", "share", "number", "score", "category")
# What a lens may look at only where it says that it does.
SENSITIVE_COLUMNS = (
    "demographic_features.gender",
    "demographic_features.ethnicity",
    "demographic_features.language",
)
# Stand for the category in the words of a one_hot feature: "{value}", "{value}-speaking"; or in small letters.
VALUE_PLACE = "{value}"
SMALL_VALUE_PLACE = "{small_value}"

_LENS_KEYS = {
    "name", "title", "noun", "objective", "k_min", "k_max", "smallest_share", "algorithms", "seed",
    "features", "actions", "default_action", "enabled", "needs", "needs_any", "needs_count", "sensitive",
    "allows_sensitive",
}  # fmt: skip
_OPTIONAL_LENS_KEYS = {"enabled", "needs", "needs_any", "needs_count", "sensitive", "allows_sensitive"}
# They say where a lens runs, not what it finds.
_KEYS_OUTSIDE_THE_VERSION = ("enabled", "needs", "needs_any", "needs_count", "sensitive", "allows_sensitive")
_FEATURE_KEYS = {
    "column", "encoding", "family", "high", "low", "high_noun", "low_noun", "label", "unit", "missing", "order",
}  # fmt: skip
_OPTIONAL_FEATURE_KEYS = {"high_noun", "low_noun", "missing", "order"}
_WORD_KEYS = ("high", "low", "high_noun", "low_noun", "missing")


@dataclass(frozen=True)
class Objective:
    """What the lens is for, in the words of the business."""

    description: str


@dataclass(frozen=True)
class LensFeature:
    """One feature of a lens.

    table, column: where it lies · encoding: one of ENCODINGS · family: features of one family say much the
    same, so a name uses one of them · high, low: the adjective for customers far above or below the rest,
    empty where a name should not say it; "{value}" in them is the category of a one_hot feature, "{small_value}"
    the same in small letters · high_noun, low_noun: the same as a noun ("deal seekers"), empty where none sounds
    right · label: in plain words · unit: one of UNITS, "category" of a one_hot or ordinal feature alone ·
    missing: the adjective for customers of whom a one_hot feature is not known, empty where a name should not
    say it · order: the values of an ordinal feature, the lowest first; another value counts as missing.
    """

    table: str
    column: str
    encoding: str
    family: str
    high: str
    low: str
    label: str
    unit: str
    high_noun: str = ""
    low_noun: str = ""
    missing: str = ""
    order: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The feature as the file writes it, "table.column"."""
        return f"{self.table}.{self.column}"

    @property
    def is_text(self) -> bool:
        """Whether its values are read as texts."""
        return self.encoding in CATEGORY_ENCODINGS


@dataclass(frozen=True)
class ActionCondition:
    """A trait that a segment must have: the feature "table.column" high, low or missing."""

    column: str
    direction: str


@dataclass(frozen=True)
class LensAction:
    """What to do with a segment that has every one of the traits."""

    when: tuple[ActionCondition, ...]
    action: str


@dataclass(frozen=True)
class Lens:
    """One way to look at customers.

    k_min, k_max: how many segments may compete, both included · smallest_share: the smallest useful segment,
    0 to 1 of the customers · seed: of everything random · noun: what the customers are called in a name ·
    enabled: whether it runs where no setting names the lenses · needs: entities of the input contract without
    which it means nothing · needs_any: entities, or columns as "entity.column", of which it needs needs_count ·
    sensitive: the features that say what people may be hurt by; SENSITIVE_COLUMNS always do ·
    allows_sensitive: whether the lens may use such features.
    The order of the features is the order in which their adjectives are spoken.
    """

    name: str
    title: str
    objective: Objective
    features: tuple[LensFeature, ...]
    k_min: int
    k_max: int
    smallest_share: float
    algorithms: tuple[str, ...]
    seed: int
    noun: str
    actions: tuple[LensAction, ...]
    default_action: str
    enabled: bool = True
    needs: tuple[str, ...] = ()
    needs_any: tuple[str, ...] = ()
    needs_count: int = 1
    sensitive: tuple[str, ...] = ()
    allows_sensitive: bool = False

    @property
    def version(self) -> str:
        """Twelve hex digits of what the lens computes, however its file is laid out and wherever it runs."""
        content = {key: value for key, value in asdict(self).items() if key not in _KEYS_OUTSIDE_THE_VERSION}
        for feature in content["features"]:
            # What most features do not have stays out: a further key must not give every lens another version.
            for key in ("missing", "order"):
                if not feature[key]:
                    del feature[key]
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def columns_by_table(self) -> dict[str, list[str]]:
        """The columns to read from each feature table, in the lens's order."""
        columns: dict[str, list[str]] = {}
        for feature in self.features:
            columns.setdefault(feature.table, []).append(feature.column)
        return columns

    def text_columns(self) -> frozenset[str]:
        """The features, "table.column", whose values are read as texts."""
        return frozenset(feature.name for feature in self.features if feature.is_text)


def parse_lens(text: str, origin: str) -> Lens:
    """The lens that a YAML text declares.

    text: the file's content · origin: the file's path, for messages and because its stem must be the name.
    Raises LensError naming file, key and remedy.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LensError(f"{origin}: not readable as YAML: {error}; mend the line it names") from error
    return _Reader(origin).lens(content)


class _Reader:
    """Reads one lens file and complains in its name."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def lens(self, content: object) -> Lens:
        given = self.mapping(content, "the file", _LENS_KEYS, optional=_OPTIONAL_LENS_KEYS)
        name = self.text(given["name"], "name")
        stem = PurePath(self.origin).stem
        if name != stem:
            self.fail("name", f"is {name!r} but the file is {stem!r}", f"rename the file to {name}.yaml")
        features = tuple(
            self.feature(item, f"features[{index}]")
            for index, item in enumerate(self.items(given["features"], "features"))
        )
        self.no_repeats([feature.name for feature in features], "features", "feature")
        k_min = self.whole(given["k_min"], "k_min", at_least=2)
        k_max = self.whole(given["k_max"], "k_max", at_least=2)
        if k_max < k_min:
            self.fail("k_max", f"{k_max} is below k_min {k_min}", "make k_max at least k_min")
        algorithms = tuple(
            self.one_of(item, f"algorithms[{index}]", ALGORITHM_NAMES)
            for index, item in enumerate(self.items(given["algorithms"], "algorithms"))
        )
        self.no_repeats(list(algorithms), "algorithms", "algorithm")
        allows_sensitive = self.flag(given.get("allows_sensitive", False), "allows_sensitive")
        sensitive = self.texts(given.get("sensitive", []), "sensitive")
        self.sensitive_features([feature.name for feature in features], sensitive, allows_sensitive)
        objective = self.mapping(given["objective"], "objective", {"description"}, optional=set())
        return Lens(
            name=name,
            title=self.text(given["title"], "title"),
            objective=Objective(self.text(objective["description"], "objective.description")),
            features=features,
            k_min=k_min,
            k_max=k_max,
            smallest_share=self.smallest_share(given["smallest_share"], k_min),
            algorithms=algorithms,
            seed=self.whole(given["seed"], "seed", at_least=0),
            noun=self.text(given["noun"], "noun"),
            actions=tuple(
                self.action(item, f"actions[{index}]", features)
                for index, item in enumerate(self.items(given["actions"], "actions", may_be_empty=True))
            ),
            default_action=self.text(given["default_action"], "default_action"),
            enabled=self.flag(given.get("enabled", True), "enabled"),
            needs=self.texts(given.get("needs", []), "needs"),
            needs_any=self.texts(given.get("needs_any", []), "needs_any"),
            needs_count=self.whole(given.get("needs_count", 1), "needs_count", at_least=1),
            sensitive=sensitive,
            allows_sensitive=allows_sensitive,
        )

    def feature(self, item: object, key: str) -> LensFeature:
        given = self.mapping(item, key, _FEATURE_KEYS, optional=_OPTIONAL_FEATURE_KEYS)
        qualified = self.text(given["column"], f"{key}.column")
        table, _, column = qualified.partition(".")
        if not table or not column or "." in column:
            self.fail(f"{key}.column", f"{qualified!r} is not table.column", "name both, as in orders.amount")
        feature = LensFeature(
            table=table,
            column=column,
            encoding=self.one_of(given["encoding"], f"{key}.encoding", ENCODINGS),
            unit=self.one_of(given["unit"], f"{key}.unit", UNITS),
            order=self.texts(given.get("order", []), f"{key}.order"),
            **{name: self.text(given[name], f"{key}.{name}") for name in ("family", "label")},
            **{name: self.word(given.get(name, ""), f"{key}.{name}") for name in _WORD_KEYS},
        )
        self.encoding_keys(feature, key)
        return feature

    def encoding_keys(self, feature: LensFeature, key: str) -> None:
        """Refuse what does not go with the feature's encoding."""
        encoding = feature.encoding
        if (feature.unit == "category") != feature.is_text:
            units = "category" if feature.is_text else ", ".join(unit for unit in UNITS if unit != "category")
            self.fail(f"{key}.unit", f"{feature.unit!r} does not go with encoding {encoding}", f"use {units}")
        if (encoding == "ordinal") != bool(feature.order):
            remedy = "list the values, the lowest first" if encoding == "ordinal" else "take it out"
            self.fail(f"{key}.order", f"is for encoding ordinal alone, which needs it; this is {encoding}", remedy)
        if encoding == "ordinal" and len(feature.order) < 2:
            self.fail(f"{key}.order", "has one value", "list at least two, the lowest first")
        if encoding == "one_hot" and (feature.low or feature.low_noun):
            self.fail(f"{key}.low", "is never said of a one_hot feature", 'leave it empty: ""')
        if encoding != "one_hot":
            if feature.missing:
                self.fail(f"{key}.missing", "is said of one_hot features alone", "take it out")
            for name in ("high", "low", "high_noun", "low_noun"):
                if VALUE_PLACE in getattr(feature, name) or SMALL_VALUE_PLACE in getattr(feature, name):
                    self.fail(f"{key}.{name}", f"has no {VALUE_PLACE} to say", f"use {VALUE_PLACE} with one_hot alone")

    def sensitive_features(self, features: list[str], sensitive: tuple[str, ...], allows_sensitive: bool) -> None:
        """Refuse a sensitive feature that the lens does not openly say it uses."""
        for name in features:
            if name not in SENSITIVE_COLUMNS and name not in sensitive:
                continue
            if not allows_sensitive:
                self.fail("features", f"use {name}, which is sensitive", "take it out, or say allows_sensitive: true")
            if name not in sensitive:
                self.fail("sensitive", f"does not name {name}, which the lens uses", "add it")

    def action(self, item: object, key: str, features: tuple[LensFeature, ...]) -> LensAction:
        given = self.mapping(item, key, {"when", "action"}, optional=set())
        when = given["when"] if isinstance(given["when"], list) else [given["when"]]
        names = [feature.name for feature in features]
        conditions = []
        for index, entry in enumerate(self.items(when, f"{key}.when")):
            where = f"{key}.when[{index}]"
            condition = self.mapping(entry, where, {"column", "is"}, optional=set())
            column = self.one_of(condition["column"], f"{where}.column", names)
            direction = self.one_of(condition["is"], f"{where}.is", DIRECTIONS)
            encoding = features[names.index(column)].encoding
            if direction not in (("high", "missing") if encoding == "one_hot" else ("high", "low")):
                self.fail(f"{where}.is", f"{direction!r} never holds of a feature encoded as {encoding}", "mend it")
            conditions.append(ActionCondition(column, direction))
        return LensAction(tuple(conditions), self.text(given["action"], f"{key}.action"))

    def smallest_share(self, value: object, k_min: int) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            self.fail("smallest_share", f"{value!r} is not between 0 and 1", "write 0.02 for 2 in 100")
        if value * k_min > 1:
            self.fail(
                "smallest_share",
                f"{k_min} segments (k_min) of at least {value:g} each are more than all customers",
                f"lower smallest_share to {1 / k_min:.3g} or less, or lower k_min",
            )
        return float(value)

    def mapping(self, value: object, key: str, known: set[str], optional: set[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(key, f"is not a mapping but {value!r}", f"give it the keys {', '.join(sorted(known))}")
        prefix = "" if key == "the file" else f"{key}."
        for name in value:
            if name not in known:
                self.fail(f"{prefix}{name}", "is unknown", f"use one of {', '.join(sorted(known))}")
        for name in sorted(known - optional - value.keys()):
            self.fail(f"{prefix}{name}", "is missing", "add it")
        return value

    def items(self, value: object, key: str, may_be_empty: bool = False) -> list[Any]:
        if not isinstance(value, list) or (not value and not may_be_empty):
            self.fail(key, f"is not a list with entries but {value!r}", "give at least one entry")
        return value

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        entries = self.items(value, key, may_be_empty=True)
        found = [self.text(item, f"{key}[{index}]") for index, item in enumerate(entries)]
        self.no_repeats(found, key, "entry")
        return tuple(found)

    def flag(self, value: object, key: str) -> bool:
        if not isinstance(value, bool):
            self.fail(key, f"is not true or false but {value!r}", "write true or false")
        return value

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.fail(key, f"is not a text but {value!r}", "write a text; quote it where YAML reads a number")
        return value.strip()

    def word(self, value: object, key: str) -> str:
        if value == "":
            return ""
        return self.text(value, key)

    def whole(self, value: object, key: str, at_least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            self.fail(key, f"{value!r} is not a whole number of at least {at_least}", f"write {at_least} or more")
        return value

    def one_of(self, value: object, key: str, choices: list[str] | tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in choices:
            self.fail(key, f"{value!r} is unknown", f"use one of {', '.join(choices)}")
        return value

    def no_repeats(self, names: list[str], key: str, what: str) -> None:
        for name in names:
            if names.count(name) > 1:
                self.fail(key, f"{what} {name!r} appears {names.count(name)} times", "keep one of them")

    def fail(self, key: str, wrong: str, remedy: str) -> NoReturn:
        raise LensError(f"{self.origin}: {key} {wrong}; {remedy}")
