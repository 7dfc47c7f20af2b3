"""A real Airflow on this machine, its client, and what its tasks have said."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segmentation_job.airflow_client import AirflowClient, read_password
from segmentation_job.airflow_environment import USER, RunningAirflow, prepare_airflow, running_airflow
from segmentation_job.steps import DAG_ID


@dataclass(frozen=True)
class AirflowDeployment:
    """An Airflow that runs, and where its tasks read and write.

    airflow: its processes. client: its API. data_dir: the tasks' SEGMENTATION_DATA_DIR.
    """

    airflow: RunningAirflow
    client: AirflowClient
    data_dir: Path

    def task_logs(self, run_id: str, count: int = 2) -> str:
        """Return the ends of the last logs of a run's tasks."""
        folder = self.airflow.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
        tails = []
        for path in sorted(folder.glob("*/*.log"), key=lambda path: path.stat().st_mtime):
            tail = "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            tails.append(f"--- {path.relative_to(folder)}\n{tail}")
        return "\n".join(tails[-count:])


@contextmanager
def deployed_airflow(environment: Mapping[str, str]) -> Iterator[AirflowDeployment]:
    """Prepare and run Airflow; stop it on the way out.

    environment: of `airflow_environment`, with what the tasks shall find in theirs.
    """
    prepare_airflow(environment)
    with running_airflow(environment, deadline=300.0) as airflow:
        client = AirflowClient(airflow.url, USER, read_password({}, airflow.home))
        yield AirflowDeployment(airflow, client, Path(environment["SEGMENTATION_DATA_DIR"]))
