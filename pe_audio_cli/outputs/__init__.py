"""Outputs: streams, files, folders and shards, and side outputs such as pictures and report pages."""
