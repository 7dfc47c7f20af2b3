"""Settings of Superset: loopback, metadata in SQLite, the published file read-only, nobody else asked.

serve.py names the folders in the environment; Superset finds this file by SUPERSET_CONFIG_PATH.
"""

import logging
import os
from pathlib import Path
from typing import Any

from flask_appbuilder.security.manager import AUTH_DB
from sqlalchemy.engine.url import URL
from sqlalchemy.pool import NullPool
from superset.utils.log import AbstractEventLogger

HOME = Path(os.environ["SUPERSET_HOME"])
SERVING_LINK = Path(os.environ["SUPERSET_SERVING_LINK"])
SECRET_KEY = os.environ.get("SUPERSET_SECRET_KEY") or (HOME / "secret.key").read_text().strip()

APP_NAME = "Customer segments"
DATA_DIR = str(HOME)
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}?check_same_thread=false"
# Two workers write what people save and where they stand: one waits for the other.
SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 30}}

AUTH_TYPE = AUTH_DB
AUTH_USER_REGISTRATION = False
PUBLIC_ROLE_LIKE = None
WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
ENABLE_CORS = False
RATELIMIT_ENABLED = True
RATELIMIT_STORAGE_URI = "memory://"
# A dashboard asks for all its charts at once.
RATELIMIT_APPLICATION = "200 per second"

FEATURE_FLAGS = {
    "DASHBOARD_RBAC": False,
    "DRILL_BY": True,
    "DRILL_TO_DETAIL": True,
    "EMBEDDABLE_CHARTS": False,
    # Names come from people's data: no markup of theirs is drawn.
    "ESCAPE_MARKDOWN_HTML": True,
    "ENABLE_TEMPLATE_PROCESSING": False,
    # Charts are drawn as one scrolls; a printed or photographed dashboard has them all.
    "DASHBOARD_VIRTUALIZATION": False,
}
ENABLE_UI_THEME_ADMINISTRATION = False
THEME_DARK = None

# Every answer is asked of the file that is served at that moment.
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
ROW_LIMIT = 10_000
# A million customers can be paged through.
SQL_MAX_ROW = 1_000_000
LOG_LEVEL = logging.WARNING
SUPERSET_WEBSERVER_TIMEOUT = 120
SQLLAB_TIMEOUT = 60

# No page may ask another host: neither for telemetry nor for maps, fonts or pictures.
CONTENT_SECURITY_POLICY_WARNING = False
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
        "frame-ancestors": ["'none'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}


class NoEventLog(AbstractEventLogger):  # type: ignore[misc]
    """Keeps no record of clicks: it would grow for ever in the metadata, and nobody reads it."""

    def log(self, *_: Any, **__: Any) -> None:
        """Forget it."""


EVENT_LOGGER = NoEventLog()


def DB_CONNECTION_MUTATOR(  # noqa: N802
    uri: URL, params: dict[str, Any], *_: Any
) -> tuple[URL, dict[str, Any]]:
    """Open the published file read-only for one query, and nothing else on this machine's disk.

    A fresh connection follows the link to the night that is served then. What a large query spills goes to the
    metadata's folder, never beside the published file.
    """
    if uri.get_backend_name() != "duckdb":
        return uri, params
    connect_args = params.setdefault("connect_args", {})
    connect_args["config"] = {
        **connect_args.get("config", {}),
        "access_mode": "read_only",
        "enable_external_access": "false",
        "lock_configuration": "true",
        "temp_directory": str(HOME / "spilled"),
        "memory_limit": os.environ.get("SUPERSET_DUCKDB_MEMORY_LIMIT", "1GB"),
        "threads": os.environ.get("SUPERSET_DUCKDB_THREADS", "2"),
    }
    return uri, {**params, "poolclass": NullPool}
