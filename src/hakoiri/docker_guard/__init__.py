"""The docker guard: a process of its own between the control plane and the container engine.

Here belongs what decides which calls reach the engine and what only the guard may do: making and
removing a box's directories and mounts. Here does not belong any knowledge of conversations,
policies, credentials or the database, and nothing that `host` would have to import.
"""
