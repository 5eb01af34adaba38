"""The secrets: where they come from and how they are put on a request.

Here belong the only values that must never be shown. Here do not belong sockets or decisions: who
may use a credential, and towards which host, is settled before one is asked for.
"""
