"""What is made of the windows of a recording: tags, events or embeddings."""
