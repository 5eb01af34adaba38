"""What servers on one database have to agree on: who runs a turn, and what the others just did.

Ports, what decides, and the adapter for servers of one process. It knows no conversations and no
containers: names, subjects and topics are all it is told.
"""
