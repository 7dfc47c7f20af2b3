"""A lens: one way to look at customers, declared in YAML."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
# How what followed is measured: log(1 + x) · the value itself · 1 where it is above zero, else 0.
MEASURES = ("log", "as_is", "any")
# What happened in the 90 days before a date is the outcome of the segments of 90 days before it.
OUTCOME_WINDOW = "_90d"
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
    "features", "weights", "actions", "default_action", "enabled", "needs", "needs_any", "needs_count", "sensitive",
    "allows_sensitive",
}  # fmt: skip
_OPTIONAL_LENS_KEYS = {"weights", "enabled", "needs", "needs_any", "needs_count", "sensitive", "allows_sensitive"}
# They say where a lens runs and stands, not what it finds.
_KEYS_OUTSIDE_THE_VERSION = (
    "title", "enabled", "needs", "needs_any", "needs_count", "sensitive", "allows_sensitive", "origin",
)  # fmt: skip
_FEATURE_KEYS = {
    "column", "encoding", "family", "high", "low", "high_noun", "low_noun", "label", "unit", "missing",
    "missing_noun", "order",
}  # fmt: skip
_OPTIONAL_FEATURE_KEYS = {"high_noun", "low_noun", "missing", "missing_noun", "order"}
_WORD_KEYS = ("high", "low", "high_noun", "low_noun", "missing", "missing_noun")
_NUMBER_TYPES = ("integer", "bigint", "double", "decimal", "boolean")
# Of numbers these have few enough values to be categories.
_COUNTABLE_TYPES = ("integer", "bigint", "boolean")
_TEXT_TYPES = ("string",)


@dataclass(frozen=True)
class Outcome:
    """What a segment should foretell: a feature of the 90 days after a date, known 90 days later.

    table, column: where it lies; the column ends in "_90d" · measure: one of MEASURES; null counts as 0.
    """

    table: str
    column: str
    measure: str

    @property
    def name(self) -> str:
        """The feature as the file writes it, "table.column"."""
        return f"{self.table}.{self.column}"


DEFAULT_OUTCOMES = (
    Outcome("financial_features", "spend_amount_90d", "log"),
    Outcome("purchase_features", "order_count_90d", "any"),
)
"""Revenue and activity: what a lens is judged by whose file names nothing else."""


@dataclass(frozen=True)
class Objective:
    """What the lens is for, in the words of the business, and what its segments should therefore foretell."""

    description: str
    outcomes: tuple[Outcome, ...] = DEFAULT_OUTCOMES


@dataclass(frozen=True)
class LensFeature:
    """One feature of a lens.

    table, column: where it lies · encoding: one of ENCODINGS · family: features of one family say much the
    same, so a name uses one of them · high, low: the adjective for customers far above or below the rest,
    empty where a name should not say it; "{value}" in them is the category of a one_hot feature, "{small_value}"
    the same in small letters · high_noun, low_noun: the same as a noun ("deal seekers"), empty where none sounds
    right · label: in plain words · unit: one of UNITS, "category" of a one_hot or ordinal feature alone ·
    missing: the adjective for customers of whom the feature is not known (who never bought have no last order),
    empty where a name should not say it; missing_noun: the same as a noun · order: the values of an ordinal
    feature, the lowest first; another value counts as missing.
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
    missing_noun: str = ""
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
    allows_sensitive: whether the lens may use such features · family_weights: by family, sorted, what the squared
    distance in each of its features counts, where that is not 1; 0 leaves a family to be told but not used ·
    origin: its file, for messages.
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
    family_weights: tuple[tuple[str, float], ...] = ()
    origin: str = field(default="", compare=False)

    @property
    def version(self) -> str:
        """Twelve hex digits of what the lens computes, however its file is laid out and wherever it runs."""
        content = {key: value for key, value in asdict(self).items() if key not in _KEYS_OUTSIDE_THE_VERSION}
        # It is read by people alone; what is computed from an objective are its outcomes.
        del content["objective"]["description"]
        # What most lenses and features do not have stays out: a further key must not give all another version.
        if not content["family_weights"]:
            del content["family_weights"]
        for feature in content["features"]:
            for key in ("missing", "missing_noun", "order"):
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

    def weight(self, family: str) -> float:
        """What the squared distance in a feature of the family counts."""
        return dict(self.family_weights).get(family, 1.0)

    def text_columns(self) -> frozenset[str]:
        """The features, "table.column", whose values are read as texts."""
        return frozenset(feature.name for feature in self.features if feature.is_text)


def parse_lens(text: str, origin: str) -> Lens:
    """The lens that a YAML text declares.

    text: the file's content · origin: the file's path, for messages and because its stem must be the name.
    Raises LensError naming file, key and remedy.
    """
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml is quicker
    except yaml.YAMLError as error:
        raise LensError(f"{origin}: not readable as YAML: {error}; mend the line it names") from error
    return _Reader(origin).lens(content)


def require_known_features(lens: Lens, contract: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a feature or outcome of a lens that the feature tables do not have, or not of that type.

    contract: the data type of each feature, as dbt writes it, by column and table. Raises LensError naming file, key
    and remedy, with the nearest names that there are.
    """
    reader = _Reader(lens.origin or f"lens {lens.name}")
    for index, feature in enumerate(lens.features):
        key = f"features[{index}].column"
        kind = _data_type(feature.table, feature.column, key, contract, reader)
        is_number = kind in _NUMBER_TYPES
        if not is_number and kind not in _TEXT_TYPES:
            reader.fail(key, f"{feature.name} is a {kind}", "use a feature that is a number or a text")
        if not feature.is_text and not is_number:
            reader.fail(
                key,
                f"{feature.name} is a text, and encoding {feature.encoding} is of numbers",
                f"use {' or '.join(CATEGORY_ENCODINGS)}, or a feature that is a number",
            )
        if feature.is_text and is_number and kind not in _COUNTABLE_TYPES:
            reader.fail(
                key,
                f"{feature.name} is a number with decimals, and encoding {feature.encoding} is of categories",
                f"use {', '.join(NUMBER_ENCODINGS)}, or a feature that is a text",
            )
    for index, outcome in enumerate(lens.objective.outcomes):
        key = f"objective.outcomes[{index}].column"
        kind = _data_type(outcome.table, outcome.column, key, contract, reader)
        if kind not in _NUMBER_TYPES:
            reader.fail(key, f"{outcome.name} is no number but a {kind}", "use a feature that is a number")


def _data_type(table: str, column: str, key: str, contract: Mapping[str, Mapping[str, str]], reader: _Reader) -> str:
    """The type of a feature without its precision; complains where there is no such feature."""
    if table not in contract:
        elsewhere = [f"{other}.{column}" for other, columns in contract.items() if column in columns]
        reader.fail(
            key,
            f"{table}.{column} is in no feature table: there is no {table}",
            f"use {' or '.join(elsewhere or nearest_names(table, contract) or sorted(contract))}",
        )
    if column not in contract[table]:
        names = {f"{other}.{name}": None for other, columns in contract.items() for name in columns}
        elsewhere = [f"{other}.{column}" for other, columns in contract.items() if column in columns]
        reader.fail(
            key,
            f"{table}.{column} does not exist: {table} has no such feature",
            f"use {' or '.join(elsewhere or nearest_names(f'{table}.{column}', names) or sorted(contract[table]))}",
        )
    return contract[table][column].partition("(")[0].strip()


def nearest_names(wanted: str, known: Iterable[str]) -> list[str]:
    """The up to three known names that look most like the one wanted, the nearest first."""
    return difflib.get_close_matches(wanted, sorted(known), n=3, cutoff=0.5)


class _Reader:
    """Reads one lens file and complains in its name."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def lens(self, content: object) -> Lens:
        given = self.mapping(content, "the file", _LENS_KEYS, optional=_OPTIONAL_LENS_KEYS)
        name = self.text(given["name"], "name")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            self.fail("name", f"{name!r} cannot be part of a column's name", "use lower-case letters, digits and _")
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
        return Lens(
            name=name,
            title=self.text(given["title"], "title"),
            objective=self.objective(given["objective"]),
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
            family_weights=self.family_weights(given.get("weights", {}), features),
            origin=self.origin,
        )

    def objective(self, value: object) -> Objective:
        given = self.mapping(value, "objective", {"description", "outcomes"}, optional={"outcomes"})
        description = self.text(given["description"], "objective.description")
        if "outcomes" not in given:
            return Objective(description)
        outcomes = tuple(
            self.outcome(item, f"objective.outcomes[{index}]")
            for index, item in enumerate(self.items(given["outcomes"], "objective.outcomes"))
        )
        self.no_repeats([outcome.name for outcome in outcomes], "objective.outcomes", "outcome")
        return Objective(description, outcomes)

    def outcome(self, item: object, key: str) -> Outcome:
        given = self.mapping(item, key, {"column", "measure"}, optional=set())
        table, column = self.table_and_column(given["column"], f"{key}.column")
        if not column.endswith(OUTCOME_WINDOW):
            self.fail(
                f"{key}.column",
                f"{table}.{column} is not of the 90 days before a date, so it says nothing of those after another",
                f"use a feature that ends in {OUTCOME_WINDOW}",
            )
        return Outcome(table, column, self.one_of(given["measure"], f"{key}.measure", MEASURES))

    def family_weights(self, value: object, features: tuple[LensFeature, ...]) -> tuple[tuple[str, float], ...]:
        families = sorted({feature.family for feature in features})
        if not isinstance(value, dict):
            self.fail("weights", f"is not a mapping but {value!r}", f"give a number to some of {', '.join(families)}")
        for family, weight in value.items():
            key = f"weights.{family}"
            if family not in families:
                remedy = f"use {' or '.join(nearest_names(str(family), families) or families)}, or take it out"
                self.fail(key, "is of a family that no feature has", remedy)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
                self.fail(key, f"{weight!r} is not a number", "write 1 for the usual weight, 2 for twice as much")
            if weight < 0:
                self.fail(key, f"{weight:g} is below zero", "write 0 to leave the family out, or a number above it")
        counted = [feature for feature in features if value.get(feature.family, 1) != 0]
        if not counted:
            self.fail("weights", "are zero for every family, so nothing would count", "give one of them a weight")
        if len(counted) == 1 and len(features) > 1:
            self.fail("weights", f"leave {counted[0].name} alone to count: a ranking", "give another family a weight")
        return tuple(sorted((family, float(weight)) for family, weight in value.items() if weight != 1))

    def table_and_column(self, value: object, key: str) -> tuple[str, str]:
        qualified = self.text(value, key)
        table, _, column = qualified.partition(".")
        if not table or not column or "." in column:
            self.fail(key, f"{qualified!r} is not table.column", "name both, as in orders.amount")
        return table, column

    def feature(self, item: object, key: str) -> LensFeature:
        given = self.mapping(item, key, _FEATURE_KEYS, optional=_OPTIONAL_FEATURE_KEYS)
        table, column = self.table_and_column(given["column"], f"{key}.column")
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
        if feature.missing_noun and not feature.missing:
            self.fail(f"{key}.missing_noun", "is never said without missing", "give missing too")
        if encoding != "one_hot":
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
            feature = features[names.index(column)]
            encoding = feature.encoding
            if direction == "missing" and encoding != "one_hot" and not feature.missing:
                self.fail(f"{where}.is", f"'missing' never holds of {column}", "give that feature a word for missing")
            if direction == "low" and encoding == "one_hot":
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
