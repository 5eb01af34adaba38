"""Sealed containers: what they look like, how they live and die, whose they are.

Here belong the hardening, the states, starting and stopping, and the claim. Here does not belong
what is said in a conversation, nor how files are stored.
"""
