"""Tools: formats, parsing, grammars, schemas, the loop."""
