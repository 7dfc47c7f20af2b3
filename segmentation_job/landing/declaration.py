"""What a source declares about itself in its dbt sources file."""

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import jinja2
import jinja2.nodes
import yaml

from segmentation_job.errors import MisconfiguredError
from segmentation_job.fast_yaml import read_yaml
from segmentation_job.settings import Settings

ESSENTIAL_ENTITIES = ("customers", "orders", "order_lines")
"""Without rows of these there is nobody to segment, or nothing by which."""
ABSENT_ENTITY = "{{ absent_entity() }}"
# A column that is mapped to nothing is not mapped.
NULL_EXPRESSION = re.compile(r"\s*(null|cast\(\s*null\s+as\s+[\w() ,]+\))\s*", re.IGNORECASE)


@dataclass(frozen=True)
class PersonalColumns:
    """Whose rows a landing table holds, as columns of it or SQL expressions over them, equal to those of the mapping.

    customer: whose row it is. places_order: an order that is thereby said to be that customer's. order: the order that
    the row belongs to, whoever placed it. session: what a row without a customer happened in. Without any, nobody's.
    """

    customer: str | None = None
    places_order: str | None = None
    order: str | None = None
    session: str | None = None

    @property
    def is_of_nobody(self) -> bool:
        """Say whether no row of the table is anybody's."""
        return not (self.customer or self.order)


@dataclass(frozen=True)
class LandingTable:
    """One file, or set of files, of a landing.

    location: the DuckDB expression that reads it, such as `read_parquet('…')`. columns: those that the mapping
    needs. event_column: column, or SQL expression, whose newest value says how fresh the landing is; None where
    nothing does. personal: whose rows they are; None where that is not said.
    """

    name: str
    location: str
    columns: tuple[str, ...]
    event_column: str | None
    personal: PersonalColumns | None = None

    @property
    def path(self) -> str:
        """The path, or pattern of paths, that the location reads."""
        match = re.search(r"'([^']+)'", self.location)
        if match is None:
            raise MisconfiguredError(f"external_location of table {self.name} names no path: {self.location}")
        return match.group(1)

    @property
    def files(self) -> list[Path]:
        """The files, or folders, that have landed there, sorted."""
        # A location may be a pattern with folders in it, which Path.glob would take relative to one of them only.
        return [Path(path) for path in sorted(glob.glob(self.path, recursive=True))]  # noqa: PTH207


@dataclass(frozen=True)
class SourceDeclaration:
    """A source as its `_<source>__sources.yml` declares it.

    default_as_of: the date that `make run` takes when none is given; None means the day after the newest row.
    max_source_lag_days: how far the newest row may lie before the as-of date. not_point_in_time: entities whose
    past is not kept. absent_entities: entities of the contract that the source does not have. mapped_columns: by
    entity, the columns of the contract that the source fills; none of an absent one, None where its mapping does not
    name them in one place, and so may fill any. essential_tables: those that customers, orders and order lines are
    mapped from; without a row they are a failed delivery. tables_mapped_by_row: those of which every mapping makes each
    row by itself, whatever the other rows are.
    """

    name: str
    tables: tuple[LandingTable, ...]
    default_as_of: date | None
    max_source_lag_days: int
    not_point_in_time: tuple[str, ...]
    absent_entities: tuple[str, ...]
    mapped_columns: Mapping[str, tuple[str, ...] | None]
    essential_tables: tuple[str, ...] = ()
    tables_mapped_by_row: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Say whether the source has an entity of the contract, or fills its column ("entity.column")."""
        entity, _, column = name.partition(".")
        if entity not in self.mapped_columns or entity in self.absent_entities:
            return False
        mapped = self.mapped_columns[entity]
        return not column or mapped is None or column in mapped


def declaration_of(settings: Settings) -> SourceDeclaration:
    """Read the declaration of the settings' source; raises as `read_declaration` does."""
    # The data folder has a default of the settings, which the environment does not know.
    return read_declaration(settings.source_dir, {**os.environ, "SEGMENTATION_DATA_DIR": str(settings.data_dir)})


def read_declaration(source_dir: Path, environment: Mapping[str, str] = os.environ) -> SourceDeclaration:
    """Read a source's declaration; raise MisconfiguredError naming file and key where it cannot be used.

    environment: values for the `env_var()` calls in the file, as dbt would fill them.
    """
    try:
        return _read_declaration(source_dir, environment)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(
            f"{source_dir / f'_{source_dir.name}__sources.yml'} is not laid out as a dbt sources file "
            f"({type(error).__name__}: {error}). Compare it with the one of dbt_project/sources/example_csv."
        ) from error


def _read_declaration(source_dir: Path, environment: Mapping[str, str]) -> SourceDeclaration:
    name = source_dir.name
    path = source_dir / f"_{name}__sources.yml"
    if not path.is_file():
        raise MisconfiguredError(f"{path} is missing: every source declares its landing there.")
    try:
        content = read_yaml(_without_jinja(path.read_text(), environment))
    except yaml.YAMLError as error:
        raise MisconfiguredError(f"{path} is not readable as YAML: {error}") from error
    sources = [source for source in (content or {}).get("sources", []) if source.get("name") == "landing"]
    if len(sources) != 1:
        raise MisconfiguredError(f"{path} must declare exactly one source named 'landing'.")
    source = sources[0]
    meta = source.get("config", {}).get("meta", {})
    tables = []
    for table in source.get("tables", []):
        config = table.get("config", {})
        location = {**meta, **config.get("meta", {})}.get("external_location")
        if not location:
            raise MisconfiguredError(f"{path}: table {table.get('name')} has no meta.external_location.")
        tables.append(
            LandingTable(
                name=table["name"],
                location=location.replace("{name}", table["name"]),
                columns=tuple(column["name"] for column in table.get("columns", [])),
                event_column=config.get("loaded_at_field"),
                personal=_personal(path, table["name"], config.get("meta", {}).get("personal")),
            )
        )
    if not any(table.event_column for table in tables):
        raise MisconfiguredError(f"{path}: no table has config.loaded_at_field, so nothing says how fresh the data is.")
    mappings = {
        entity.stem.removeprefix("input_"): entity.read_text() for entity in sorted(source_dir.glob("input_*.sql"))
    }
    default_as_of = meta.get("default_as_of")
    if default_as_of is not None and not isinstance(default_as_of, date):
        raise MisconfiguredError(f"{path}: meta.default_as_of {default_as_of!r} must be a date like 2018-01-01.")
    return SourceDeclaration(
        name=name,
        tables=tuple(tables),
        default_as_of=default_as_of,
        max_source_lag_days=int(meta.get("max_source_lag_days", 1)),
        not_point_in_time=tuple(meta.get("not_point_in_time", ())),
        absent_entities=tuple(entity for entity, text in mappings.items() if ABSENT_ENTITY in text),
        mapped_columns={
            entity: () if ABSENT_ENTITY in text else mapped_columns(text) for entity, text in mappings.items()
        },
        essential_tables=tuple(
            table.name
            for table in tables
            if any(_reads(mappings.get(entity, ""), table.name) for entity in ESSENTIAL_ENTITIES)
        ),
        tables_mapped_by_row=tuple(
            table.name
            for table in tables
            if all(_maps_by_row(text) for text in mappings.values() if _reads(text, table.name))
        ),
    )


def _personal(path: Path, table: str, said: object) -> PersonalColumns | None:
    if said is None:
        return None
    if said == "none":
        return PersonalColumns()
    known = [field.name for field in fields(PersonalColumns)]
    if (
        not isinstance(said, Mapping)
        or not said.keys() <= set(known)
        or not {"customer", "order"} & said.keys()
        or ("customer" not in said and len(said) > 1)
    ):
        raise MisconfiguredError(
            f"{path}: table {table} says meta.personal {said!r}. Write none, or the columns that say whose a row is: "
            "customer or order; beside customer also places_order and session."
        )
    return PersonalColumns(**{name: str(said[name]) for name in known if name in said})


def read_contract(input_dir: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of every entity of the input contract, from the YAML of its models."""
    entities: dict[str, tuple[str, ...]] = {}
    for path in sorted(input_dir.glob("*.yml")):
        for model in (read_yaml(path.read_text()) or {}).get("models", []):
            if model["name"].startswith("input_"):
                columns = tuple(column["name"] for column in model["columns"])
                entities[model["name"].removeprefix("input_")] = columns
    return entities


def mapped_columns(mapping: str) -> tuple[str, ...] | None:
    """Return the columns that a mapping model gives to `map_to_contract`; None where they are not spelled out there.

    mapping: the model's text. The columns stand in the call, or in a variable that is set once.
    """
    try:
        template = jinja2.Environment(extensions=["jinja2.ext.do"]).parse(mapping)
    except jinja2.TemplateSyntaxError:
        return None
    variables = {
        assignment.target.name: assignment.node
        for assignment in template.find_all(jinja2.nodes.Assign)
        if isinstance(assignment.target, jinja2.nodes.Name)
    }
    found: list[str] = []
    calls = [
        call
        for call in template.find_all(jinja2.nodes.Call)
        if isinstance(call.node, jinja2.nodes.Name) and call.node.name == "map_to_contract"
    ]
    for call in calls:
        named = {argument.key: argument.value for argument in call.kwargs}
        columns: jinja2.nodes.Node | None = call.args[1] if len(call.args) > 1 else named.get("columns")
        if isinstance(columns, jinja2.nodes.Name):
            columns = variables.get(columns.name)
        if not isinstance(columns, jinja2.nodes.Dict):
            return None
        for pair in columns.items:
            if not isinstance(pair.key, jinja2.nodes.Const):
                return None
            is_null = isinstance(pair.value, jinja2.nodes.Const) and NULL_EXPRESSION.fullmatch(str(pair.value.value))
            if not is_null and pair.key.value not in found:
                found.append(str(pair.key.value))
    return tuple(found) if calls else None


def _reads(mapping: str, table: str) -> bool:
    """Say whether a mapping model reads a landing table."""
    return bool(re.search(rf"source\(\s*['\"]landing['\"]\s*,\s*['\"]{re.escape(table)}['\"]\s*\)", mapping))


def _maps_by_row(mapping: str) -> bool:
    """Say whether a mapping model is one call of `map_to_contract` on a landing table, with nothing around it."""
    text = re.sub(r"\{#.*?#\}|--[^\n]*", "", mapping, flags=re.DOTALL).strip()
    return bool(
        re.match(r"\{\{-?\s*map_to_contract\(\s*source\(", text)
        and text.endswith("}}")
        and text.count("{{") + text.count("{%") == 1
        and len(re.findall(r"\b(?:source|ref)\(", text)) == 1
        # What looks at other rows: a window, a query of its own.
        and not re.search(r"\bover\s*\(|\bselect\b|\brandom\s*\(", text, re.IGNORECASE)
    )


def _without_jinja(text: str, environment: Mapping[str, str]) -> str:
    """Fill in the `env_var()` calls, the only Jinja that a sources file may hold."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match["name"]) or match["default"] or ""

    return re.sub(
        r"\{\{\s*env_var\(\s*['\"](?P<name>\w+)['\"]\s*(?:,\s*['\"](?P<default>[^'\"]*)['\"]\s*)?\)\s*\}\}", value, text
    )
