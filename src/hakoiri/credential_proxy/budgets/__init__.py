"""What workspaces, tenants and the installation may use, and have used.

Here: limits, prices, the ledger, what a model's answer tells of tokens, and the ledger's file. Not
here: what may be reached (`domain_whitelist`), and the bounds of one container's socket.
"""
