"""Errors that are meant for a person."""

import errno


class UserError(Exception):
    """Something the user can mend; the message says what is wrong with which file or layer, and what to do."""


class InputFileError(UserError):
    """An image, labels file or folder that cannot be read or written, or does not fit its image."""


class ModelError(UserError):
    """A model, checkpoint or device that is not there or does not fit."""


class ProjectError(UserError):
    """A project that cannot be opened or written, or lacks what is asked of it."""


class ParameterError(UserError):
    """A value, option or setting that is unknown or out of its range."""


class DownloadError(UserError):
    """Something that cannot be fetched: names the address, the reason and what to do."""


class NotEnoughMemory(UserError):
    """Something that takes more memory than there is."""


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of this package brings."""
    return f'pip install "napari-leafseg[{extra}]"'


# how libraries say it that raise no MemoryError: torch and oneDNN on a CPU, CUDA, C++, OpenCV, the system's threads
_SHORT = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "insufficient memory",
    "bad_alloc", "bad allocation", "could not create a primitive", "could not create a memory", "unable to allocate",
    "can't start new thread",
)  # fmt: skip


def short_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, whichever library raised it."""
    if isinstance(error, MemoryError | NotEnoughMemory) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, UserError):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    return any(words in str(error).lower() for words in _SHORT)


def in_words(error: Exception) -> UserError | None:
    """Return what a person is told of an error of a library; None where nothing is known of it."""
    if isinstance(error, UserError):
        return error
    if not short_of_memory(error):
        return None
    told = NotEnoughMemory(
        "There is too little memory for this. Close other programs, or take a smaller image or fewer at a time."
    )
    told.__cause__ = error
    return told
