"""The front door: one file for each noun; it starts the processes and speaks to the API.

Here belong options, words on the screen, exit codes and the supervisor. Here does not belong what
the server does; the command line asks for it, like any other client.
"""
