"""The supervisor: started as root, it reads no input from API, network or container.

It prepares directories, starts the processes under users of their own with the fewest rights, and
starts them again when they die. All that is decided about a process stands in a `ProcessSpec`.
"""
