"""The HTTP interface: one module a noun, one place for problems.

Here belongs what is HTTP. Here does not belong any decision about turns, containers or files.
"""
