{#-
  DuckDB reads the landing's files where a model names them. Spark reads them through tables of its metastore, which
  this hook declares from the same `external_location`, so that a source is declared once. A table lists its files when
  it is declared: it is declared anew whenever the mapping is built.
-#}
{% macro land_as_tables() -%}
    {{ return(adapter.dispatch('land_as_tables', 'customer_segmentation')()) }}
{%- endmacro %}

{% macro default__land_as_tables() -%}
{%- endmacro %}

{% macro spark__land_as_tables() -%}
    {%- set mapped = [] -%}
    {%- if execute -%}
        {%- for resource in selected_resources if '.input_' in resource -%}
            {%- do mapped.append(resource) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if mapped -%}
        {%- for table in graph.sources.values() if table.source_name == 'landing' -%}
            {%- set relation = adapter.quote(table.schema) ~ '.' ~ adapter.quote(table.identifier) -%}
            {%- do run_query('create database if not exists ' ~ adapter.quote(table.schema)) -%}
            {%- do run_query('drop table if exists ' ~ relation) -%}
            {%- do run_query('create table ' ~ relation ~ ' ' ~ spark_reader(table)) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#-
  What follows `create table <name>`: the reader of a landing table's files, from its `external_location`, which is
  written for DuckDB as read_parquet('…') or as read_csv('…', option = value, …) with all_varchar. A pattern in the name
  of the file becomes a filter on the files of the folder.
-#}
{% macro spark_reader(table) -%}
    {%- set location = (table.config.meta or {}).get('external_location') or table.source_meta.external_location -%}
    {%- set read = modules.re.match("\\s*read_(parquet|csv)\\s*\\(\\s*'([^']*)'(.*)\\)\\s*$", location, modules.re.S) -%}
    {%- if not read -%}
        {{ exceptions.raise_compiler_error(
            table.source_name ~ '.' ~ table.name ~ ": Spark reads read_parquet('…') and read_csv('…', …), and its "
            ~ 'external_location is ' ~ location) }}
    {%- endif -%}
    {%- set path = read.group(2).replace('{name}', table.name).replace('{identifier}', table.identifier) -%}
    {%- set data_dir = env_var('SEGMENTATION_DATA_DIR_OF_VIEWS', '') -%}
    {#- The server runs in a folder of its own. -#}
    {%- set path = data_dir ~ path[2:] if data_dir and path.startswith('../') else path -%}
    {%- set folder, file = path.rsplit('/', 1) -%}
    {%- set options = {'path': path} -%}
    {%- if '*' in file -%}
        {%- do options.update({'path': folder, 'pathGlobFilter': file}) -%}
    {%- endif -%}
    {%- if read.group(1) == 'csv' -%}
        {%- set names = {'header': 'header', 'delim': 'sep', 'sep': 'sep', 'quote': 'quote', 'escape': 'escape'} -%}
        {#- As DuckDB reads: fields may hold line breaks, text stays as it is, nothing between two commas is null. -#}
        {%- do options.update({'multiLine': 'true', 'nullValue': '', 'emptyValue': '', 'mode': 'FAILFAST'}) -%}
        {%- for option, quoted, plain in modules.re.findall("(\\w+)\\s*=\\s*(?:'([^']*)'|(\\w+))", read.group(3)) -%}
            {%- if option in names -%}
                {%- do options.update({names[option]: quoted or plain}) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    using {{ read.group(1) }} options (
    {%- for option, value in options.items() %}{{ option }} '{{ value | replace('\\', '\\\\') | replace("'", "\\'") }}'
    {{- ', ' if not loop.last }}{% endfor -%}
    )
{%- endmacro %}
