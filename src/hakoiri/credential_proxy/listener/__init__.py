"""The container's side of the proxy: connections, requests, answers.

Here belongs what knows HTTP towards a container. Here do not belong decisions: what may pass, with
which credential, is told by `exchange`.
"""
