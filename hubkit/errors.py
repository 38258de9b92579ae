"""The one exception for what a user can mend."""


class UserError(ValueError):
    """Something that the user asked for can't be done; the message names the field, the value and the mend.

    The command line prints it as one line and exits with status 1. Anything else that escapes is a bug of ours
    and keeps its traceback.
    """
