"""HTTP/1.1 on asyncio transports: what both sides of the proxy share.

Here belong bodies, timers and the bytes of heads and chunks. Here do not belong decisions, sockets
or anything that knows which side it serves. The parser is llhttp, through httptools.
"""
