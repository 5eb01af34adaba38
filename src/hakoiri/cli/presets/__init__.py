"""What operators would otherwise write by hand into a policy: the ways to models and to packages.

A preset is expanded once, into plain rules that can be read, edited and versioned with the policy;
nothing of it is looked up again when the policy is in force (docs/adr/0009). What decides is pure;
`host_configuration` alone reads files and asks pip and npm.
"""
