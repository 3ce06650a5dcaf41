"""
Messages on the wire: drand.proto and health.proto, and what protoc makes of them (*_pb2.py).

Owns: names and field numbers. Refuses: nothing; what cannot be decoded is refused by wire.py. The
generated files are checked in and no source: `python -m tests.beacon_generate` renews them, and a
test compares.
"""
