"""`tracker=mlflow`: a run of MLflow beside the run folder."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaekl.system import libraries
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.system.files import refuse_link, sole_writer
from vaekl.training.callbacks.tracker import Ending, Tracker, without_password

_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
#: of MLflow: parameters in one request, and characters of a value
_MOST, _LONGEST = 100, 6000
#: the tag that says whose figures a run of MLflow has
_FOLDER = "vaekl.folder"


class MlflowTracker(Tracker):
    """Figures as metrics, settings as parameters, the last pictures as artifacts.

    They go to the server that is named by MLFLOW_TRACKING_URI or `mlflow.set_tracking_uri`, else to a database
    `mlflow.db` beside the run folder. A run that the program around has begun itself is left alone.

    Args:
        folder, parameters, console: as `Tracker` has them.
        experiment: of MLflow, which is made if need be.
    """

    name = "mlflow"
    cure = "check MLFLOW_TRACKING_URI and tracker.experiment"

    def __init__(
        self, folder: Path, parameters: Mapping[str, str | float | None], console: Console, experiment: str = "vaekl"
    ) -> None:
        super().__init__(folder, parameters, console)
        self.experiment = experiment
        self._mlflow: Any = libraries.tracker("mlflow")
        self._client: Any = None
        self._run = ""

    def begin(self, run: str | None) -> tuple[str, str]:
        if self._mlflow.is_tracking_uri_set():
            place = self._mlflow.get_tracking_uri()
            self._open(place, None, run)
        else:
            beside = self.folder.path.parent
            database, artifacts = beside / "mlflow.db", beside / "mlruns"
            refuse_link(database)
            refuse_link(artifacts)
            place = f"sqlite:///{database}"
            with sole_writer(database):  # of a sweep's runs one alone makes it
                self._open(place, artifacts.as_uri(), run)
        return self._run, f"mlflow: run {self._run} of experiment {self.experiment}, {without_password(place)}"

    def _open(self, place: str, artifacts: str | None, run: str | None) -> None:
        self._client = self._mlflow.MlflowClient(tracking_uri=place)
        own = self._own_run(run) if run is not None else None
        if own is None:
            experiment = self._client.get_experiment_by_name(self.experiment)
            number = (
                experiment.experiment_id
                if experiment is not None
                else self._client.create_experiment(self.experiment, artifact_location=artifacts)
            )
            tags = {_FOLDER: str(self.folder.path.resolve())}
            own = self._client.create_run(number, run_name=self.folder.path.name, tags=tags)
        else:
            self._client.update_run(own.info.run_id, status="RUNNING")
        if artifacts is not None and not own.info.artifact_uri.startswith(f"{artifacts}/"):
            raise VaeklError(f"the database beside the run folder keeps pictures in {own.info.artifact_uri}")
        self._run = own.info.run_id
        self._keep_parameters(own.data.params)

    def _own_run(self, run: str) -> Any:
        """None where it is not there any more, in another database, or that of another folder."""
        try:
            own = self._client.get_run(run)
        except self._mlflow.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if own.data.tags.get(_FOLDER) == str(self.folder.path.resolve()):
            return own
        self.warn_of_another(run)
        return None

    def _keep_parameters(self, before: Mapping[str, str]) -> None:
        """A parameter never changes in MLflow: what a run with more steps has anew is a tag `now.KEY`."""
        named = {
            re.sub(r"[^\w./ -]", "_", key, flags=re.ASCII): str(value)[:_LONGEST]
            for key, value in self.parameters.items()
        }
        new = [self._mlflow.entities.Param(key, value) for key, value in named.items() if key not in before]
        for start in range(0, len(new), _MOST):
            self._client.log_batch(self._run, params=new[start : start + _MOST])
        for key, value in named.items():
            if before.get(key, value) != value:
                self._client.set_tag(self._run, f"now.{key}", value)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._mlflow.entities.Metric(tag, value, now, step) for tag, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def picture(self, tag: str, file: Path) -> None:
        self._client.log_artifact(self._run, str(file), tag.rpartition("/")[0])

    def end(self, how: Ending) -> None:
        self._client.set_terminated(self._run, _STATUS[how])
