"""A client for the API of a running Airflow: backfills, the runs of dates, their tasks.

It needs the standard library alone, so it works against any Airflow that runs the DAG, not only one that this
project started. Passwords never travel as arguments: they come from the environment or the generated file.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit

from segmentation_job.airflow_environment import PASSWORDS_FILE, USER, AirflowError, request_json

PASSWORD_VARIABLE: Final = "SEGMENTATION_AIRFLOW_PASSWORD"
PAGE_SIZE: Final = 100
# Airflow looks every 30 seconds for backfills whose runs have all ended.
POLL_SECONDS: Final = 2.0


class BackfillIsOpenError(AirflowError):
    """Airflow has an open backfill of the DAG already, and allows one at a time."""


class BackfillDeadlineError(AirflowError):
    """A backfill did not end in time; it goes on."""


class Reprocess(StrEnum):
    """Which dates a backfill runs again, of those that have a run; dates without one always run."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"


@dataclass(frozen=True)
class Backfill:
    """A backfill as Airflow keeps it.

    first_date, last_date: both are run. completed_at: when Airflow saw that no run is left; None while it is open.
    """

    id: int
    dag_id: str
    first_date: date
    last_date: date
    reprocess: Reprocess
    is_paused: bool
    completed_at: datetime | None


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG.

    run_type: `scheduled`, `manual`, `backfill`, `asset_triggered`. state: `queued`, `running`, `success` (also where
    there was nothing to do) or `failed`. as_of: the date that it is for. moment: when it started, or was queued where
    it has not.
    """

    run_id: str
    run_type: str
    state: str
    as_of: date
    moment: datetime

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.state in ("success", "failed")


def read_password(environment: Mapping[str, str], home: Path, user: str = USER) -> str:
    """Return the user's password: SEGMENTATION_AIRFLOW_PASSWORD, else what `home` holds for an Airflow made here.

    environment: usually `os.environ`. home: AIRFLOW_HOME, `<data_dir>/airflow`. Raises AirflowError where there is
    neither.
    """
    given = environment.get(PASSWORD_VARIABLE)
    if given:
        return given
    path = home / PASSWORDS_FILE
    try:
        passwords = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AirflowError(
            f"No password for Airflow's user {user}: {PASSWORD_VARIABLE} is not set, and {path} cannot be read "
            f"({error}). Set {PASSWORD_VARIABLE} in the environment; never write it on a command line."
        ) from error
    if user not in passwords:
        raise AirflowError(f"{path} holds no password for {user}: set {PASSWORD_VARIABLE} in the environment.")
    return str(passwords[user])


@dataclass
class AirflowClient:
    """Airflow's API as one user.

    url: of the API server, without `/api/v2`. password: of `read_password`. patience: seconds for which a request is
    repeated while Airflow's database is locked or, once it has answered, its server restarts. sleep, monotonic: the
    clock, for tests. Every method raises AirflowError with what to do about it.
    """

    url: str
    user: str
    password: str = field(repr=False)
    patience: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    monotonic: Callable[[], float] = field(default=time.monotonic, repr=False)
    _token: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AirflowError(f"{self.url!r} is no address of Airflow: write it as http://127.0.0.1:8080.")
        if parts.password:
            raise AirflowError(f"Airflow's address must hold no password: set {PASSWORD_VARIABLE} instead.")
        self.url = self.url.rstrip("/")

    def token(self) -> str:
        """Return a token for `Authorization: Bearer …`; ask for one where there is none yet."""
        if self._token is None:
            try:
                answer = request_json(
                    "POST", f"{self.url}/auth/token", body={"username": self.user, "password": self.password}
                )
            except HTTPError as error:
                if error.code in (401, 403):
                    raise AirflowError(
                        f"Airflow at {self.url} refused the user {self.user}: the password in {PASSWORD_VARIABLE}, or "
                        f"in {PASSWORDS_FILE} of its home, is not its own. Each Airflow has passwords of its own."
                    ) from error
                raise AirflowError(f"{self.url}/auth/token answered {error.code}: {error.reason}") from error
            except (OSError, ValueError) as error:
                raise self._unreachable(error) from error
            self._token = str(answer["access_token"])
        return self._token

    def is_paused(self, dag_id: str) -> bool:
        """Tell whether the DAG is paused: nothing of it starts then, backfills included."""
        return bool(self.call("GET", f"dags/{quote(dag_id, safe='')}")["is_paused"])

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's runs start. The latest scheduled run starts at once, where there was none for it."""
        self.call("PATCH", f"dags/{quote(dag_id, safe='')}", {"is_paused": False})

    def create_backfill(
        self,
        dag_id: str,
        from_date: date,
        to_date: date,
        reprocess: Reprocess = Reprocess.NONE,
        *,
        run_backwards: bool = False,
        max_active_runs: int = 1,
        conf: Mapping[str, Any] | None = None,
    ) -> Backfill:
        """Create a backfill of each date from `from_date` to `to_date`, both included.

        max_active_runs: dates under way at once; with 1 each date ends before the next begins. conf: parameters of
        the runs, as `{"force": True}`. Raises BackfillIsOpenError where another one is open, AirflowError where the
        DAG is paused (the backfill would wait for ever) or Airflow refuses the dates.
        """
        if self.is_paused(dag_id):
            raise AirflowError(
                f"The DAG {dag_id} is paused at {self.url}: a backfill would wait for ever. Unpause it first "
                f"(`airflow dags unpause {dag_id}`, or the switch on its page); that also starts the latest night."
            )
        body = {
            "dag_id": dag_id,
            "from_date": f"{from_date}T00:00:00Z",
            # A bare date would mean its midnight, before the night's run at 02:00.
            "to_date": f"{to_date}T23:59:59Z",
            "reprocess_behavior": reprocess.value,
            "run_backwards": run_backwards,
            "max_active_runs": max_active_runs,
            "dag_run_conf": dict(conf or {}),
        }
        return _backfill(self.call("POST", "backfills", body))

    def open_backfills(self, dag_id: str) -> list[Backfill]:
        """Return the DAG's backfills that are not completed: none or one, whose runs may have ended just now."""
        rows = self._all("backfills", "backfills", {"dag_id": dag_id})
        return [backfill for row in rows if (backfill := _backfill(row)).completed_at is None]

    def backfill(self, backfill_id: int) -> Backfill:
        """Return a backfill."""
        return _backfill(self.call("GET", f"backfills/{backfill_id}"))

    def wait_for_backfill(self, backfill_id: int, deadline: float) -> Backfill:
        """Return the backfill once Airflow has completed it, whether its dates succeeded or failed.

        deadline: in seconds from now. Another backfill can be created from then on, which is up to half a minute
        after the last run has ended. Raises BackfillDeadlineError, which leaves it running.
        """
        until = self.monotonic() + deadline
        while True:
            backfill = self.backfill(backfill_id)
            if backfill.completed_at is not None:
                return backfill
            if self.monotonic() > until:
                runs = self.dag_runs(backfill.dag_id, backfill.first_date, backfill.last_date)
                waiting = [f"{run.as_of} {run.state}" for run in runs if not run.has_ended]
                paused = "; the DAG is paused" if self.is_paused(backfill.dag_id) else ""
                raise BackfillDeadlineError(
                    f"Backfill {backfill_id} of {backfill.first_date} to {backfill.last_date} had not ended after "
                    f"{deadline:.0f} s: {', '.join(waiting) or 'no run is left'}{paused}. It goes on: see "
                    f"{self.url}/dags/{backfill.dag_id}/backfills."
                )
            self.sleep(POLL_SECONDS)

    def cancel_backfill(self, backfill_id: int) -> Backfill:
        """Complete a backfill now: its queued runs become failed, those that run go on to their end."""
        return _backfill(self.call("PUT", f"backfills/{backfill_id}/cancel"))

    def dag_runs(self, dag_id: str, first_date: date, last_date: date) -> list[DagRun]:
        """Return the runs for as-of dates from `first_date` to `last_date`, of every kind, by date and moment."""
        runs: dict[str, DagRun] = {}
        # A run by hand may have no logical date: it is for the day on which it was asked for.
        for attribute in ("logical_date", "run_after"):
            limits = {f"{attribute}_gte": f"{first_date}T00:00:00Z", f"{attribute}_lte": f"{last_date}T23:59:59Z"}
            for row in self._all(f"dags/{quote(dag_id, safe='')}/dagRuns", "dag_runs", limits):
                run = _dag_run(row)
                if first_date <= run.as_of <= last_date:
                    runs[run.run_id] = run
        return sorted(runs.values(), key=lambda run: (run.as_of, run.moment))

    def dag_run_state(self, dag_id: str, as_of: date) -> str | None:
        """Return the state of the newest run for a date, None where there has been none."""
        runs = self.dag_runs(dag_id, as_of, as_of)
        return runs[-1].state if runs else None

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task of a run."""
        path = f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return {row["task_id"]: row["state"] for row in self._all(path, "task_instances", {})}

    def trigger(self, dag_id: str, as_of: date, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run for a date by hand, with the logical date of its night; return the run's id."""
        body = {"logical_date": f"{as_of}T02:00:00Z", "conf": dict(conf or {})}
        return str(self.call("POST", f"dags/{quote(dag_id, safe='')}/dagRuns", body)["dag_run_id"])

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call `/api/v2/<path>` and return its JSON answer; repeat what Airflow says it did not do."""
        until = self.monotonic() + self.patience
        renewed = False
        has_answered = self._token is not None
        while True:
            try:
                return request_json(method, f"{self.url}/api/v2/{path}", token=self.token(), body=body)
            except HTTPError as error:
                if error.code == 401 and not renewed:
                    # Tokens end after a day, and with a restart that made new secrets.
                    self._token, renewed = None, True
                    continue
                # 503 says that the database was locked and nothing was done.
                is_passing = error.code == 503 or (error.code in (500, 502, 504) and method == "GET")
                if not is_passing or self.monotonic() > until:
                    raise self._refused(method, path, error) from error
            except (OSError, ValueError) as error:
                # Repeated only where that cannot do a thing twice, and not where nothing has ever answered.
                if method != "GET" or not has_answered or self.monotonic() > until:
                    raise self._unreachable(error) from error
            self.sleep(1.0)

    def _all(self, path: str, key: str, limits: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            query = urlencode({**limits, "limit": PAGE_SIZE, "offset": offset})
            rows = self.call("GET", f"{path}?{query}")[key]
            yield from rows
            offset += len(rows)
            if len(rows) < PAGE_SIZE:
                return

    def _unreachable(self, error: Exception) -> AirflowError:
        return AirflowError(
            f"Airflow does not answer at {self.url} ({error}): start it (`make airflow`, or your own), or give the "
            "address of the one that runs."
        )

    def _refused(self, method: str, path: str, error: HTTPError) -> AirflowError:
        said = f"Airflow at {self.url} answered {error.code} to {method} {path.partition('?')[0]}: {error.reason}"
        if error.code == 409 and path == "backfills":
            return BackfillIsOpenError(
                f"{said}. Airflow allows one open backfill of a DAG: wait for it, or cancel it "
                f"({self.url}, its page, Backfills)."
            )
        if error.code == 403:
            return AirflowError(f"{said}. The user {self.user} needs a role that may create backfills (admin, op).")
        if error.code == 404 and path != "backfills" and not path.startswith("backfills/"):
            return AirflowError(
                f"{said}. It does not know the DAG or the run: see `airflow dags list` and "
                "`airflow dags list-import-errors`."
            )
        if error.code == 503:
            return AirflowError(
                f"{said}. Its SQLite stayed locked for {self.patience:.0f} s: try again, or keep Airflow's metadata "
                "in PostgreSQL (docker-compose.yml does)."
            )
        return AirflowError(said)


def _backfill(row: Mapping[str, Any]) -> Backfill:
    completed = row["completed_at"]
    return Backfill(
        id=int(row["id"]),
        dag_id=str(row["dag_id"]),
        first_date=_moment(row["from_date"]).date(),
        last_date=_moment(row["to_date"]).date(),
        reprocess=Reprocess(row["reprocess_behavior"]),
        is_paused=bool(row["is_paused"]),
        completed_at=None if completed is None else _moment(completed),
    )


def _dag_run(row: Mapping[str, Any]) -> DagRun:
    moment = row["start_date"] or row["queued_at"] or row["run_after"]
    return DagRun(
        run_id=str(row["dag_run_id"]),
        run_type=str(row["run_type"]),
        state=str(row["state"]),
        as_of=_moment(row["logical_date"] or row["run_after"]).date(),
        moment=_moment(moment),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
