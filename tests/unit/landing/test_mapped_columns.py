"""What a mapping model fills is read from its text, however it is laid out."""

import pytest

from segmentation_job.landing.declaration import mapped_columns, read_contract, read_declaration
from segmentation_job.settings import Settings

SOURCES = Settings.from_environment({}).dbt_project_dir / "sources"


@pytest.mark.parametrize(
    ("mapping", "columns"),
    [
        ("{{ map_to_contract(source('landing', 'x'), {'a': 'one', \"b\": \"two, 'three'\"}) }}", ("a", "b")),
        ("with t as (select 1)\n\n{{ map_to_contract(\n    't',\n    {\n        'a': 'x',\n    },\n) }}", ("a",)),
        ("{{ map_to_contract(relation='t', columns={'a': 'nullif(x, \"}\")'}) }}", ("a",)),
        ("{# {{ map_to_contract('t', {'z': 'z'}) }} #}{{- map_to_contract('t', {'a': 'x'}) -}}", ("a",)),
        ("{% set fields = {'a': 'x'} %}{{ map_to_contract('t', fields) }}", ("a",)),
        ("{{ map_to_contract('t', {'a': 'x', 'b': 'null', 'c': 'cast(null as decimal(18, 2))'}) }}", ("a",)),
        ("{{ map_to_contract('t', {'a': 'x'}) }} union all {{ map_to_contract('u', {'b': 'x'}) }}", ("a", "b")),
        ("{{ map_to_contract('t', {'a': 'case when ' ~ condition ~ ' then 1 end'}) }}", ("a",)),
        ("{{ map_to_contract('t', {}) }}", ()),
    ],
)
def test_the_columns_of_a_mapping_are_found(mapping: str, columns: tuple[str, ...]) -> None:
    assert mapped_columns(mapping) == columns


@pytest.mark.parametrize(
    "mapping",
    [
        "select * from somewhere",
        "{{ map_to_contract('t', columns_of('t')) }}",
        "{{ map_to_contract('t', fields) }}",
        "{{ map_to_contract('t', {name: 'x'}) }}",
        "{{ map_to_contract('t', {'a': ",
    ],
)
def test_a_mapping_that_does_not_spell_its_columns_out_may_fill_any(mapping: str) -> None:
    assert mapped_columns(mapping) is None


def test_a_source_has_the_entities_and_columns_that_it_maps() -> None:
    declaration = read_declaration(SOURCES / "complete_journey")
    assert declaration.has("customers")
    assert declaration.has("customers.age_band")
    assert not declaration.has("customers.gender")
    assert not declaration.has("payments")
    assert not declaration.has("payments.method")
    assert not declaration.has("nothing of the contract")


@pytest.mark.parametrize("source", sorted(path.name for path in SOURCES.iterdir() if path.is_dir()))
def test_every_shipped_mapping_is_read_and_names_columns_of_the_contract(source: str) -> None:
    contract = read_contract(SOURCES.parent / "models" / "input")
    declaration = read_declaration(SOURCES / source)
    assert set(declaration.mapped_columns) == set(contract)
    for entity, columns in declaration.mapped_columns.items():
        assert columns is not None
        assert set(columns) <= set(contract[entity])
        assert bool(columns) == (entity not in declaration.absent_entities)
