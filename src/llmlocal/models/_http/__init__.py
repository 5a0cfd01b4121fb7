"""HTTP for large files: asked again, resumed and cancelled, and no secret sent astray.

A ``_client`` asks for one URL as often as its policy allows (``_retry``).  One request is followed
through its redirects (``_exchange``) with the token that its server may see (``_token``), on a
thread of its own (``_transfer``); what the answer means is a pure decision (``_verdict``).  Small
``_document`` s and the headers of ``_remote`` files are read with it here; whole files in
``_download``.
"""
