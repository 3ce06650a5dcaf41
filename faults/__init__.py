"""Faults and changes, one file each; they import chaoskit only."""
