"""Models on disk: the library's own folder and those of other tools.  No request is ever made.

``_locate`` finds what a reference means in the ``_store``, which knows the models folder and,
by ``_foreign``, other tools' layouts.  Beneath are the tools for files: ``_files`` for what is
done to them, ``_digest`` and the ``_notes`` that spare reading them twice, and the ``_lock``
that only one worker has.
"""
