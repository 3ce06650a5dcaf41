"""Chaos suites: per system what to run, how to watch it, what it promises."""
