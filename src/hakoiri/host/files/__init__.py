"""Workspaces as durable files: manifests, scans, recovery points.

Here belongs all that turns a live directory tree into a recovery point and back. Here does not
belong which container the tree is live in, nor who may see it.
"""
