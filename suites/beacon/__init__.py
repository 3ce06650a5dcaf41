"""The randomness beacon: our node and real drand, by the same suite."""
