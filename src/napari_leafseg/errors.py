"""Errors that are meant for a person."""


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
