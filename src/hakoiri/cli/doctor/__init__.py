"""`hakoiri doctor`: the host's posture, one finding for each thing that Hakoiri stands on.

Here belong the facts that are collected (`engine_facts`, `host_facts`), the checks that judge them
purely (`engine_checks`, `host_checks`), and how they are shown (`command`). Here does not belong
anything that changes the host: each finding names the mend, and the operator decides.
"""
