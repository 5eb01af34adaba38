"""`hakoiri backup`: all of an installation that cannot be made anew, in one directory.

What is saved and where it lies is decided in `places`; the rest copies. Nothing here needs a
running server, or minds one. What others can write is copied without following a link.
"""
