"""The toys: tiny replicated nodes of our own, honest or broken, that show what the judges see."""
