"""What names mean, by their form alone.  Nothing here looks at the disk or the network.

A name that a user gives becomes a reference (``_reference``): a path, a name, a file or model of
the hub, or a URL (``_url``).  Every piece of it that may become a file name passes one rule
(``_safe``), and its place in the models folder follows from it (``_places``).  What the file's own
name says, the part of a split model and the quantisation, is read by ``_filenames``.
"""
