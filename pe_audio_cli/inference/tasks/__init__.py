"""Tasks: tags, events or embeddings from the windows of a recording."""
