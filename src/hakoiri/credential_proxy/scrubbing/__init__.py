"""A secret that an upstream sends back is taken out of its answer.

Here belong the looking and the decoding that it needs. Here do not belong secrets that were not put
on the request: an upstream cannot echo what it never saw.
"""
