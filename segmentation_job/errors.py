"""What can be wrong with a run in a way that its user can mend; each error is one exit code."""

import errno
import sys

from segmentation_job.steps import ExitCode

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left on device", "File too large", "Disk quota exceeded")
_DAMAGED_WORDS = ("Corrupt database file", "not a valid DuckDB database file", "Could not read enough bytes")
_IN_THE_WAY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_IN_THE_WAY_WORDS = ("Permission denied", "Read-only file system", "Not a directory", "Is a directory")


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


class MachineError(SegmentationError):
    """The disk is full, or a file could not be read or written; another attempt may find it mended."""


class FilesInTheWayError(MachineError):
    """A folder may not be written, or something else stands in its place: no attempt can mend that."""

    exit_code = ExitCode.MISCONFIGURED


class DamagedFileError(MachineError):
    """A DuckDB file is not what was written: no attempt can mend that."""

    exit_code = ExitCode.MISCONFIGURED


def fault_of_the_machine(error: Exception) -> SegmentationError | None:
    """Return what to say of an error that comes from the disk, whoever met it; None where it comes from elsewhere."""
    duckdb = sys.modules.get("duckdb")
    from_engine = duckdb is not None and isinstance(error, duckdb.Error)
    from_its_files = duckdb is not None and isinstance(error, duckdb.IOException)
    text, number = str(error), error.errno if isinstance(error, OSError) else None
    unchanged = "What was served before is served still."
    if from_engine and any(words in text for words in _DAMAGED_WORDS):
        return DamagedFileError(
            f"A DuckDB file is damaged: {text}\nIt is the source's warehouse.duckdb where no other file is named. Put "
            "a backup in its place. Without one, move it away: the next runs build it anew from the landing, but ids "
            f"and history of segments begin again. {unchanged}"
        )
    # A commit or a checkpoint that fails for its file is an error of the transaction.
    says_so = from_engine and any(words in text for words in (*_FULL_WORDS, *_IN_THE_WAY_WORDS))
    if not from_its_files and not says_so and not (number and isinstance(error, OSError)):
        return None
    if number in _FULL or any(words in text for words in _FULL_WORDS):
        return MachineError(f"The disk is full: {text}. Make room, then run the step again. {unchanged}")
    if number in _IN_THE_WAY or any(words in text for words in _IN_THE_WAY_WORDS):
        return FilesInTheWayError(
            f"{text}. The data folder (SEGMENTATION_DATA_DIR) and what lies in it must be writable by the user who "
            f"runs this, with no file where a folder should be and no folder where a file should. {unchanged}"
        )
    if isinstance(error, OSError) and error.filename is None:
        return None
    return MachineError(
        f"A file could not be read or written: {text}. Mend what it names, then run the step again. {unchanged}"
    )
