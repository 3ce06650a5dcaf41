"""
The randomness-beacon node: members of a group make one unpredictable value a round, together.

Outwardly it is drand: the same files, the same digests, hashes and signatures, the same protocol.
The core knows no socket, clock or disk (core.py, transitions.py and what they use); network.py runs
one, process.py runs a node, wire.py alone speaks gRPC, store.py alone writes rounds.
"""
