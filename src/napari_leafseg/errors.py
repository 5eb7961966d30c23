"""Errors that are meant for a person."""


class UserError(Exception):
    """Something the user can mend; the message says what is wrong with which file or layer, and what to do."""
