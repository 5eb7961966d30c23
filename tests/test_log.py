"""The log: every process writes it, errors land in it, and nothing that goes wrong with it stops the program."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_leafseg import _log, cli
from napari_leafseg._log import LogFile, current_log, log_error, log_file, read_log, start_log
from napari_leafseg._subprocess import run_in_subprocess
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.versions import __version__


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log of the test's own, in this process and those that it starts."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv(_log.LEVEL_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logger = logging.getLogger("napari_leafseg")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    yield lambda: "\n".join(read_log(10_000))
    logger.setLevel(logging.NOTSET)  # forgets what levels are enabled


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)


def test_the_log_lies_in_the_data_folder_and_begins_with_the_version(log, tmp_path):
    start_log("window")
    assert log_file() == tmp_path / "napari-leafseg" / "log" / "napari-leafseg.log"
    assert f"INFO [window {os.getpid()}] napari_leafseg: napari-leafseg {__version__}" in log()
    handler = current_log()
    start_log("command line")
    assert current_log() is handler
    assert log().count(f"napari-leafseg {__version__}") == 1


def test_a_users_mistake_is_a_line_and_any_other_error_a_traceback_each_once(log):
    start_log("window")
    error = InputFileError("There is no file x.png.\nCheck the path.")
    for _ in range(2):
        log_error(error)
    assert log().count("InputFileError: There is no file x.png. Check the path.") == 1
    assert "Traceback" not in log()
    try:
        [][1]
    except IndexError as wrong:
        log_error(wrong)
        log_error(wrong)
    assert log().count("Traceback") == 1
    assert "[][1]" in log()


def test_the_level_comes_from_the_environment(log, monkeypatch):
    monkeypatch.setenv(_log.LEVEL_VARIABLE, "debug")
    start_log("window")
    logging.getLogger("napari_leafseg.io").debug("a detail")
    assert "DEBUG" in log()
    log_error(UserError("with its origin at this level"))
    assert "NoneType: None" not in log()


def test_a_level_that_is_none_is_named(log, monkeypatch):
    monkeypatch.setenv(_log.LEVEL_VARIABLE, "loud")
    start_log("window")
    logging.getLogger("napari_leafseg.io").debug("a detail")
    assert "NAPARI_LEAFSEG_LOG_LEVEL=LOUD names no level" in log()
    assert "a detail" not in log()


def test_uncaught_errors_are_logged_and_go_on_to_the_hook_before(log, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: told.append(arguments[1]))
    monkeypatch.setattr(threading, "excepthook", lambda arguments: told.append(arguments.exc_value))
    start_log("window")
    error = ValueError("in the main thread")
    sys.excepthook(ValueError, error, None)

    def fail():
        raise ZeroDivisionError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [str(item) for item in told] == ["in the main thread", "in a thread"]
    assert "ValueError: in the main thread" in log()
    assert "ZeroDivisionError: in a thread" in log()
    assert "in fail" in log()


def test_a_hook_that_another_program_put_on_top_does_not_hide_errors_for_good(log, monkeypatch):
    start_log("window")
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: told.append(arguments[1]))
    start_log("window")
    sys.excepthook(ValueError, ValueError("after the other hook"), None)
    assert len(told) == 1
    assert log().count("ValueError: after the other hook") == 2  # the line and its traceback's end


def test_a_program_that_is_interrupted_made_no_error(log):
    start_log("window")
    log_error(KeyboardInterrupt())
    assert "KeyboardInterrupt" not in log()


def test_the_file_rotates(log, monkeypatch):
    monkeypatch.setattr(_log, "_SIZE", 4_000)
    start_log("window")
    for number in range(400):
        logging.getLogger("napari_leafseg").info("line %d %s", number, "x" * 60)
    files = sorted(path.name for path in log_file().parent.glob("*.log*") if not path.name.endswith("lock"))
    assert files == ["napari-leafseg.log", *(f"napari-leafseg.log.{number}" for number in (1, 2, 3))]
    assert all(path.stat().st_size < 4_200 for path in log_file().parent.glob("*.log*"))
    assert "line 399" in log()


def test_several_processes_write_and_rotate_one_file_and_lose_no_line(log, tmp_path):
    code = (
        "import logging, sys; from napari_leafseg import _log; _log._SIZE, _log._BACKUPS = 20_000, 50\n"
        "_log.start_log('writer')\n"
        "for number in range(300): logging.getLogger('napari_leafseg').info('line %s-%d.', sys.argv[1], number)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert said == ["", "", ""]
    files = [path for path in log_file().parent.glob("*.log*") if not path.name.endswith("lock")]
    assert len(files) > 3
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert all(line.startswith("20") for line in lines)  # none is cut or mixed with another
    found = {line.rsplit(" ", 1)[1] for line in lines if " line " in line}
    assert found == {f"{writer}-{number}." for writer in range(3) for number in range(300)}


class Full:
    """A file on a disk without room."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_once_and_stops_nothing(log, monkeypatch, capsys):
    start_log("window")
    handler = current_log()
    monkeypatch.setattr(handler, "_open", lambda: Full(LogFile._open(handler)))
    for _ in range(3):
        logging.getLogger("napari_leafseg").error("lost")
    assert capsys.readouterr().err.count("No space left on device") == 1
    assert "No space left" in handler.trouble


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_device_is_told_once_and_stops_nothing(tmp_path, capsys):
    logger = logging.getLogger("napari_leafseg.test_full")
    handler = LogFile(tmp_path / "x.log")
    handler._open = lambda: open("/dev/full", "a")  # noqa: SIM115
    logger.addHandler(handler)
    for _ in range(3):
        logger.error("lost")
    logger.removeHandler(handler)
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_folder_that_cannot_be_made_stops_nothing(log, tmp_path, capsys):
    (tmp_path / "napari-leafseg").write_text("a file where the folder should be")
    start_log("command line")
    logging.getLogger("napari_leafseg").error("lost")
    assert capsys.readouterr().err.count("cannot be written") == 1
    assert "cannot be written" in current_log().trouble


def test_a_file_that_cannot_be_renamed_grows_on(log, monkeypatch):
    monkeypatch.setattr(_log, "_SIZE", 2_000)
    start_log("window")

    def refuse(*_):
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(os, "rename", refuse)
    for number in range(60):
        logging.getLogger("napari_leafseg").info("line %d %s", number, "x" * 60)
    assert "line 0 " in log()
    assert "line 59 " in log()


def wrong():
    """Fail in a process of its own."""
    yield 1
    raise LookupError("in the background")


def mistaken():
    """Fail as users make jobs fail."""
    raise UserError("There are no images.")
    yield


def test_a_background_process_writes_the_same_log(log):
    with pytest.raises(RuntimeError, match="in the background"):
        list(run_in_subprocess(wrong))
    with pytest.raises(UserError):
        list(run_in_subprocess(mistaken))
    text = log()
    assert "[background " in text
    assert "LookupError: in the background" in text
    assert "in wrong" in text
    assert "UserError: There are no images." in text


def test_the_command_line_logs_mistakes_and_errors(log):
    command = [sys.executable, "-m", "napari_leafseg.cli", "models", "delete", "nosuch"]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 2
    assert f"[command line {os.getpid()}]" not in log()
    assert "ModelError" in log()
    code = (
        "import sys, napari_leafseg.pipelines.synthesize as place; from napari_leafseg.cli import main\n"
        "place.synthesize_files = lambda *a: [][1]\n"
        "sys.argv[1:] = ['synthesize', '--output', 'x']; main()\n"
    )
    result = python(code)
    assert result.returncode == 1
    assert result.stderr.count("IndexError: list index out of range") == 1
    assert "IndexError: list index out of range" in log()
    assert "Traceback" in log()


def test_version_and_info(log):
    run = CliRunner().invoke(cli.app, ["--version"])
    assert run.exit_code == 0
    assert run.output.strip() == f"napari-leafseg {__version__}"
    run = CliRunner().invoke(cli.app, ["info", "--json"])
    info = json.loads(run.output)
    assert set(info["versions"]) >= {"python", "napari", "PyQt5", "torch", "numpy", "opencv-python-headless"}
    assert set(info["paths"]) == {"data", "models", "resources", "settings", "log"}
    assert info["paths"]["log"] == str(log_file())
    assert info["paths"]["settings"].endswith("widgets.ini")
    assert info["cores"]["all"] == os.cpu_count()
    assert info["devices"][-1] == "cpu"
    assert isinstance(info["bfloat16"]["cpu"], bool)
    text = CliRunner().invoke(cli.app, ["info"]).output
    for part in (f"napari-leafseg: {__version__}", f"log: {log_file()}", "devices: ", "settings: "):
        assert part in text


def test_info_comes_without_torch_and_without_qt(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "napari_leafseg.widgets.state.preferences", None)
    run = CliRunner().invoke(cli.app, ["info", "--json"])
    info = json.loads(run.output)
    assert run.exit_code == 0
    assert info["devices"][0].startswith("none: import of torch halted")
    assert info["paths"]["settings"].startswith("unknown: ")
