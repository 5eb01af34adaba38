"""The probe: from inside the box, everything is tried that must not work, and each try is told.

Belongs here: attempts, and the posture the box must have. Run as `python -m` of this package, in a
process of its own. Must not: start anything that outlives it, or touch the workspace's files.
"""
