"""Answers over HTTP: what is taken, what it is answered with, and what is kept from whom. No Ray.

The app stands over three backends (`backends.py`): who reads ECGs, who measures them, who writes them.
`ecgray.cluster.serving` puts them on Ray Serve; `local.py` runs them in this process. docs/service.md describes the
API.
"""
