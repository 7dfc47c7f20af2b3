"""What can be wrong with a run in a way that its user can mend; each error is one exit code."""

from segmentation_job.steps import ExitCode


class SegmentationError(Exception):
    """An error whose message says what was wrong, where, and what to do next."""

    exit_code = ExitCode.UNEXPECTED


class SourceNotReadyError(SegmentationError):
    """The landing lacks something, or the date must not be computed on it."""

    exit_code = ExitCode.SOURCE_NOT_READY


class GateFailedError(SegmentationError):
    """A candidate failed its gate, or was not gated at all."""

    exit_code = ExitCode.GATE_FAILED


class MisconfiguredError(SegmentationError):
    """A setting, lens, suite or mapping is wrong."""

    exit_code = ExitCode.MISCONFIGURED


class WarehouseLockedError(SegmentationError):
    """Another process has the warehouse open."""

    exit_code = ExitCode.WAREHOUSE_LOCKED
