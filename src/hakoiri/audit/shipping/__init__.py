"""Copies of the audit log elsewhere: to files, to a syslog receiver, to an object store.

Here belong where it is copied to, how each is spoken to, and how far each copy got. The chains'
files are the queue: nothing is kept in memory, and nobody who writes a chain ever waits for this.
"""
