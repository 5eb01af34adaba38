"""TLS that ends at the proxy, and TLS that only passes through: who speaks to whom.

Here belong the installation's certificate authority, the certificates it gives out, the bundle that
containers trust, and the reading of a ClientHello. The authority's key never leaves the proxy.
"""
