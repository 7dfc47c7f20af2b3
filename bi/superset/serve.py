"""Superset on the published file: prepared on the first start, brought up to date on every later one, served.

Run by `make bi` and `make bi-password` with the interpreter of its own environment (bi/superset/uv.lock), which knows
nothing of segmentation_job. Secrets come from the environment or lie in files that only their owner reads.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import secrets
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

BI_DIR = Path(__file__).resolve().parent
PROJECT_DIR = BI_DIR.parents[1]
ASSET_FOLDERS = ("databases", "datasets", "charts", "dashboards")
ADMIN = "admin"
# A segment keeps its colour: the number in its id picks it. Distinct on white, and apart for the colour-blind as far
# as ten hues can be.
SEGMENT_COLOURS = (
    "#1f77b4",
    "#e07b39",
    "#2a9d6f",
    "#c44e52",
    "#8067b7",
    "#8c6d46",
    "#d36fb0",
    "#5f7d8c",
    "#a8a132",
    "#22a7b8",
    "#12476e",
    "#8f4413",
    "#145c40",
    "#7d1f2b",
    "#452e80",
)


class Refusal(Exception):  # noqa: N818
    """What a user can mend: printed as it is, without a traceback."""


class Folders:
    """Where the published file, the metadata and the secret lie."""

    def __init__(self) -> None:
        data_dir = Path(os.environ.get("SEGMENTATION_DATA_DIR") or PROJECT_DIR / "data").expanduser().resolve()
        # Not resolved: what it leads to changes with every publication.
        self.serving_link = data_dir / "serving" / "segments.duckdb"
        self.home = Path(os.environ.get("SUPERSET_HOME") or data_dir / "superset").expanduser().resolve()
        self.metadata = self.home / "superset.db"
        self.secret_key = self.home / "secret.key"
        self.state = self.home / "prepared.json"


def main() -> int:
    """Serve, or set a new password; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("serve", "password"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8088)
    arguments = parser.parse_args()
    folders = Folders()
    try:
        enter(folders)
        if arguments.command == "password":
            reset_password(folders)
            return 0
        prepare(folders)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    serve(folders, arguments.host, arguments.port)
    return 0


def enter(folders: Folders) -> None:
    """Create the folder of the metadata and the secret key, and tell Superset where they are."""
    if not folders.serving_link.exists():
        raise Refusal(
            f"{folders.serving_link} leads to no file: nothing is published yet. Run `make run` first, or name another"
            " folder in SEGMENTATION_DATA_DIR."
        )
    folders.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.environ.get("SUPERSET_SECRET_KEY") and not folders.secret_key.exists():
        descriptor = os.open(folders.secret_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    # The metadata hold password hashes.
    os.umask(0o077)
    os.environ.update(
        SUPERSET_HOME=str(folders.home),
        SUPERSET_SERVING_LINK=str(folders.serving_link),
        SUPERSET_CONFIG_PATH=str(BI_DIR / "superset_config.py"),
        SCARF_ANALYTICS="false",
        DO_NOT_TRACK="1",
        FLASK_APP="superset.app:create_app()",
    )


def prepare(folders: Folders) -> None:
    """Migrate the metadata, create the admin and import the assets, each only where something has changed."""
    state = json.loads(folders.state.read_text()) if folders.state.exists() else {}
    release = version("apache-superset")
    contents = assets(folders)
    fingerprint = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
    if state.get("release") == release and state.get("assets") == fingerprint:
        tell_where_the_password_is()
        return
    app = application()
    with app.app_context():
        if state.get("release") != release:
            print("Preparing Superset's metadata (a minute or two, this once) …", flush=True)
            migrate()
        password = create_admin()
        if password:
            print(f"User {ADMIN}, password {password} (printed this once; a new one: make bi-password)", flush=True)
        else:
            tell_where_the_password_is()
        if state.get("assets") != fingerprint:
            print("Loading the dashboard …", flush=True)
            import_assets(contents)
    write_private(folders.state, json.dumps({"release": release, "assets": fingerprint}))


def tell_where_the_password_is() -> None:
    """Say it without printing a password again."""
    if os.environ.get("SUPERSET_ADMIN_PASSWORD"):
        print(f"User {ADMIN}, with the password that SUPERSET_ADMIN_PASSWORD had at the first start.", flush=True)
    else:
        print(f"User {ADMIN}, with the password that was printed first; a new one: make bi-password", flush=True)


def application() -> Any:
    """Return Superset's Flask application; importing it takes seconds."""
    import logging
    import warnings

    # Superset and its libraries say much that nobody here can mend.
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        from superset.app import create_app

        app = create_app()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return app


def migrate() -> None:
    """Bring the metadata's tables and roles up to this release."""
    from flask_migrate import upgrade
    from superset import appbuilder, security_manager

    upgrade()
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()


def create_admin() -> str | None:
    """Create the admin; return the password that was generated, None where there is one or it came from outside."""
    from superset import security_manager

    if security_manager.find_user(username=ADMIN):
        return None
    given = os.environ.get("SUPERSET_ADMIN_PASSWORD")
    password = given or secrets.token_urlsafe(16)
    created = security_manager.add_user(
        ADMIN, "Segment", "Admin", "admin@localhost", security_manager.find_role("Admin"), password=password
    )
    if not created:
        raise Refusal(f"Superset refused to create the user {ADMIN}: see its log above.")
    return None if given else password


def reset_password(folders: Folders) -> None:
    """Give the admin a new password, and print it."""
    if not folders.metadata.exists():
        raise Refusal(f"{folders.metadata} does not exist: run `make bi` first, which prints the first password.")
    app = application()
    with app.app_context():
        from superset import db, security_manager
        from werkzeug.security import generate_password_hash

        user = security_manager.find_user(username=ADMIN)
        if user is None:
            raise Refusal(f"There is no user {ADMIN}: run `make bi`, which creates it.")
        password = secrets.token_urlsafe(16)
        user.password = generate_password_hash(password)
        db.session.commit()
    print(f"User {ADMIN}, password {password} (printed this once)")


def assets(folders: Folders) -> dict[str, str]:
    """Return the files of the dashboard by name, with the path and the colours of what is served here."""
    import yaml

    contents = {"metadata.yaml": (BI_DIR / "metadata.yaml").read_text()}
    for folder in ASSET_FOLDERS:
        for path in sorted((BI_DIR / folder).rglob("*.yaml")):
            content = yaml.safe_load(path.read_text())
            if folder == "databases":
                content["sqlalchemy_uri"] = f"duckdb:///{folders.serving_link}?access_mode=read_only"
            if folder == "dashboards":
                content["metadata"]["label_colors"] |= segment_colours(folders.serving_link)
            contents[str(path.relative_to(BI_DIR))] = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return contents


def segment_colours(published: Path) -> dict[str, str]:
    """Return the colour of every segment by its name; of a name in two lenses that of the first."""
    import duckdb

    with duckdb.connect(str(published), read_only=True) as connection:
        segments = connection.execute(
            "select name, segment_id from segments where name is not null order by lens <> 'overall', lens, segment_id"
        ).fetchall()
    colours: dict[str, str] = {}
    for name, segment_id in segments:
        number = segment_id.rpartition("-")[2]
        place = int(number) - 1 if number.isdigit() else len(colours)
        colours.setdefault(name, SEGMENT_COLOURS[place % len(SEGMENT_COLOURS)])
    # As the start of a move (dataset_definitions.py, from_label).
    return colours | {f"{name} · before": colour for name, colour in colours.items()}


def import_assets(contents: dict[str, str]) -> None:
    """Load the files in one transaction: what they name is overwritten, what people made beside it stays."""
    import yaml
    from flask import g
    from superset import db, security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    g.user = security_manager.find_user(username=ADMIN)
    ImportAssetsCommand(contents).run()
    named = {yaml.safe_load(content).get("uuid") for content in contents.values()}
    for model in (Dashboard, Slice, SqlaTable):
        for kept in db.session.query(model).filter_by(is_managed_externally=True):
            if str(kept.uuid) not in named:
                db.session.delete(kept)
    db.session.commit()


def write_private(path: Path, text: str) -> None:
    """Write a file whole, for its owner alone."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.chmod(0o600)
    unfinished.replace(path)


def serve(folders: Folders, host: str, port: int) -> None:
    """Become gunicorn: this process ends with it."""
    os.environ["SUPERSET_BIND"] = f"{host}:{port}"
    os.chdir(folders.home)
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        str(BI_DIR / "gunicorn_config.py"),
        os.environ["FLASK_APP"],
    ]
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
