"""
The randomness-beacon node: members of a group make one unpredictable value a round, together.

Outwardly it is drand: the same files, the same digests, hashes and signatures, the same protocol.
Here is the part without sockets and without a clock: arithmetic of rounds, files, and the core.
"""
