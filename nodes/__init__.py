"""Processes under test that we write; they import nothing of the harness."""
