"""The rehearsal model: scripted answers on the real wire formats of Bedrock and Anthropic.

Here belongs what a model API shows its callers: request and stream formats, authentication as
strict as the real one, faults on cue. Nothing here thinks, and nothing of the product imports it:
it is a process of its own, chosen by name for demo and tests, never a fallback.
"""
