"""What crosses a trust boundary: requests, events, policies, problems, and their framing.

Here belong closed, bounded message types and pure (sans-I/O) encoders and decoders for them.
Here do not belong sockets, clocks, files, or anything that knows which process it runs in: the
container's image carries this package and nothing else of the host.
"""
