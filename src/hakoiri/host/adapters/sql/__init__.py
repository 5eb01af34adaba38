"""The relational stores: conversations, events, claims, workspace heads, policies, keys.

Here belong SQL and the translation of the database's errors. Here does not belong any decision
about a turn, a container or a file.
"""
