"""Models' files with something wrong in them, by the thousand; see ``scripts/fuzz``."""
