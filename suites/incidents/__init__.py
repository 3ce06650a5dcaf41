"""Outages as rows a machine can check; which half breaks stands in rows.toml."""
