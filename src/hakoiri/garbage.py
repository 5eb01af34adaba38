"""What Python's collector of cyclic garbage need not look through: what a process has loaded.

A full pass looks at every object that is there and stops everything meanwhile. Of a server's some
600,000 nearly all are code, classes and routes, which stand as long as it does: a pass took 0.1 s
on a quiet host and 0.9 s on a busy one, in the middle of streams and claims, and found 200 objects.
"""

import gc


def pass_over_what_is_loaded() -> None:
    """Leave out, from now on, all objects that are there (`gc.freeze`).

    To be called once a process is up, or has loaded more. What is garbage by then stays.
    """
    gc.freeze()
