"""The program's log: one file that all its processes write, and that never stands in their way."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from napari_leafseg._files import data_folder
from napari_leafseg.errors import UserError
from napari_leafseg.versions import __version__

LEVEL_VARIABLE = "NAPARI_LEAFSEG_LOG_LEVEL"
SHOWN = {"shown": True}  # as `extra` of a record: the person sees it anyway
_SIZE, _BACKUPS = 1_000_000, 3
_AT_ONCE = 1 << 18  # bytes; a record goes to the file in one write, so that processes do not mix their lines
_FORMAT = "%(asctime)s %(levelname)s [%(kind)s %(process)d] %(name)s: %(message)s"

logger = logging.getLogger("napari_leafseg")


def log_file() -> Path:
    """Tell where the log lies; older ones lie beside it as ``.1`` to ``.3``."""
    return data_folder() / "log" / "napari-leafseg.log"


class LogFile(RotatingFileHandler):
    """Write a rotating file together with other processes.

    The file is open only while a record is written, so that the process that renames it finds it open nowhere, which
    matters on Windows. Where the disk is full or the folder cannot be written, records are dropped.

    Attributes
    ----------
    trouble : str
        Why the last record could not be written; empty when it was.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_SIZE, backupCount=_BACKUPS, encoding="utf-8", delay=True)
        self.trouble = ""
        self._told = False

    def _open(self) -> TextIO:  # type: ignore[override]
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return open(self.baseFilename, "a", buffering=_AT_ONCE, encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and let go of the file."""
        self.trouble = ""
        super().emit(record)
        try:
            if self.stream is not None:
                self.stream.close()
        except OSError:
            self.handleError(record)
        self.stream = None

    def doRollover(self) -> None:
        """Begin a new file, unless another process is about to or just did; a file that cannot be renamed grows on."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        try:
            with FileLock(f"{self.baseFilename}.lock", timeout=0):
                if os.path.getsize(self.baseFilename) > self.maxBytes // 2:
                    super().doRollover()
        except (OSError, Timeout) as error:
            self.trouble = f"{self.baseFilename} cannot be rotated: {error}"

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once on standard error that the log cannot be written."""
        self.trouble = f"The log {self.baseFilename} cannot be written: {sys.exc_info()[1]}"
        if not self._told and sys.stderr is not None:
            self._told = True
            print(f"napari-leafseg: {self.trouble}", file=sys.stderr)


class _Console(logging.Handler):
    """Standard error, for warnings that a person would not see otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "shown", False) and sys.stderr is not None:
            print(self.format(record), file=sys.stderr)


def start_log(kind: str) -> None:
    """Begin the log of this process; once begun, further calls only watch for uncaught errors again.

    Parameters
    ----------
    kind : str
        What the process is: "window", "command line", "background" …
    """
    _watch(sys, lambda _kind, error, _traceback: log_error(error))
    _watch(threading, lambda args: log_error(args.exc_value))
    if current_log() is not None:
        return
    handler = LogFile(log_file())
    handler.setFormatter(logging.Formatter(_FORMAT, defaults={"kind": kind}))
    logger.addHandler(handler)
    if not logging.getLogger().handlers:  # as logging itself does for a program without a log
        console = _Console(logging.WARNING)
        logger.addHandler(console)
    wanted = os.environ.get(LEVEL_VARIABLE, "INFO").upper()
    level = logging.getLevelNamesMapping().get(wanted)
    logger.setLevel(logging.INFO if level is None else level)
    if level is None:
        logger.warning("%s=%s names no level. Choose DEBUG, INFO, WARNING or ERROR.", LEVEL_VARIABLE, wanted)
    logger.info("napari-leafseg %s: %s", __version__, " ".join(sys.argv))


def current_log() -> LogFile | None:
    """Tell where this process writes its log; None when it writes none."""
    return next((handler for handler in logger.handlers if isinstance(handler, LogFile)), None)


def log_error(error: BaseException | None) -> None:
    """Log an error, once: a user's mistake as a line, any other with its traceback."""
    if error is None or not isinstance(error, Exception) or error.__dict__.get("_logged"):
        return
    error.__dict__["_logged"] = True
    if isinstance(error, UserError):
        whole = error if logger.isEnabledFor(logging.DEBUG) else None
        logger.warning("%s: %s", type(error).__name__, one_line(str(error)), extra=SHOWN, exc_info=whole)
    else:
        logger.error("%s: %s", type(error).__name__, one_line(str(error)), extra=SHOWN, exc_info=error)


def one_line(text: str) -> str:
    """Put a text on one line."""
    return " ".join(text.split())


def read_log(lines: int = 200) -> list[str]:
    """Read the last lines of the log.

    Raises
    ------
    OSError
        When the log cannot be read.
    """
    with log_file().open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 500 * lines))
        text = file.read().decode("utf-8", errors="replace")
    return text.splitlines()[-lines:]


def _watch(module: Any, note: Callable[..., None]) -> None:
    """Log uncaught errors before the hook that is there; put on top again where another program took its place."""
    before = module.excepthook
    if getattr(before, "logs", False):
        return

    def hook(*arguments: Any) -> None:
        note(*arguments)
        before(*arguments)

    hook.logs = True  # type: ignore[attr-defined]
    module.excepthook = hook
