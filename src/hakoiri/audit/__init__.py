"""The audit log: what happened, written by who did it, in chains that nobody can quietly rewrite.

Here belong the events, their form on disk, the chain of hashes, the signing of its heads, and what
reads and checks all that. Each process writes a chain of its own and needs no other for it; one
process alone, of a user of its own, holds the key that heads are signed with.
"""
