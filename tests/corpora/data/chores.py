"""Items of work for other processes, which import this file by its name."""

import multiprocessing
import os
import time


def where(item, advance):
    """Take a while over an item and return which process did it."""
    time.sleep(item)
    advance(1)
    return os.getpid()


def end(item, advance):
    """Fail, or die, here or there as the item says, here being the parent; elsewhere take long and tell how far it is.

    Raises:
        ZeroDivisionError: If it is to fail.
    """
    what, where = item.split()
    if where != ("here" if multiprocessing.parent_process() is None else "there"):
        try:
            for _ in range(400):
                time.sleep(0.05)
                advance(0)
        except Exception as error:
            raise AssertionError("an item takes the failure of another one for its own") from error
    elif what == "die":
        os._exit(1)
    return 1 / 0
