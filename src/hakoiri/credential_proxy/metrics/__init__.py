"""Figures for Prometheus.

Here belong what is counted, under which labels, and how many of them there may be. Here do not
belong names that a container chose: every label's value is out of a closed set, or out of a policy
or the proxy's own file, and those are bounded in number.
"""
