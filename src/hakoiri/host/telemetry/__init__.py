"""What operators see of the server: its log and its figures.

Here does not belong what users are told.
"""
