"""What containers use of this host: processor, memory, processes, disk.

Here belong reading the kernel's figures, looking again and again, and telling of many at once. What
a container may use is decided elsewhere.
"""
