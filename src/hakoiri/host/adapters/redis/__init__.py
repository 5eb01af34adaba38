"""Coordination of servers through Redis: leases, news, the warm pool's setting.

The only room that knows the vendor's client. Nothing durable lives here: what Redis forgets is told
again by those who hold it, or read from the database.
"""
