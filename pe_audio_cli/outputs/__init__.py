"""Where results go: streams, files, folders, shards, and pictures and pages beside them."""
