"""Traces of what a request sets off: spans as all processes make them, and how they are sent away.

Here belong the place in a trace that code runs in, the names of what spans tell, and the exporter.
Nothing of OpenTelemetry is loaded before an exporter is opened; without one a span costs a look.
"""
