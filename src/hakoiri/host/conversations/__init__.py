"""Conversations: durable dialogues, their turns, and the append-only log of events.

Here belongs what happens between a user's message and its `result` or `error`. Here does not
belong HTTP, SQL, or how a container is made.
"""
