"""The way to the outside: checked addresses, verified TLS, pooled connections, no redirects.

Here belongs what speaks to upstreams. Here do not belong decisions and secrets: what is sent was
decided on, and signed, before it comes here.
"""
