"""What a GGUF file says before its weights, read from bytes that may be hostile.

Primitive values (``_reader``) make up a header: settings and the list of tensors (``_header``,
with the type numbers of ``_types``).  Its settings say what a model keeps for each token
(``_cache_cost``), and with a context's length that becomes an estimate in bytes (``_memory``).
"""
