"""The index: recordings, their windows and embeddings on disk, and the search through them."""
