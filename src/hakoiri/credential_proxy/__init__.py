"""The only way out of a container: decide, sign, forward, record.

Here belongs all that stands between a container's `proxy.sock` and the outside world, and the
secrets. `exchange` and what it imports decide without I/O; `listener`, `control` and `upstream`
carry bytes; `service` wires them. Here do not belong Docker, the database, files of a workspace,
or anything that believes what a container or the control plane says about credentials.
"""
