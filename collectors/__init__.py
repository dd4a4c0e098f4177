"""The reading corridor: one file a source.

Only List-, Get- and Describe-like calls live here; nothing here can change the world.
"""
