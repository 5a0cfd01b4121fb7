"""The models that are known by name.

A card (``_card``) has a model's facts, checksums and sources.  Cards are read from JSON that is
checked like any other input (``_card_json``); the packaged, the refreshed and the user's own
file are merged into one list, which is searched by name (``_lists``).
"""
