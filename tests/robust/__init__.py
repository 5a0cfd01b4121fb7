"""Nothing that is passed in ends the interpreter, hangs it, or is silently wrong."""
