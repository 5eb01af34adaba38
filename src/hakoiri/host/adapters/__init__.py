"""The server's ports onto the outside: engine, proxy, agents, database, object store, chat model.

Here belong vendor clients and what turns their errors into ours. Here does not belong a rule of our
own: an adapter does what its port says, and no more.
"""
