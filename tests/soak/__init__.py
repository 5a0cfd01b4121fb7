"""Many threads on one model for minutes, and a model opened a thousand times; see ``scripts/soak``."""
