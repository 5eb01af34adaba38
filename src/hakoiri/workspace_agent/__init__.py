"""The agent's side of the wall: a small server in the container, on a Unix socket.

Here belong the turns, the agent SDK's wrapping, and the relay to the credential proxy. Here do not
belong secrets, policy, or anything that trusts the container: whoever runs code in the box owns
this process, and the host treats all it says as hostile.
"""
