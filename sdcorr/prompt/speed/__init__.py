"""What makes the method fast and changes no result: caches, memory, stored embeddings; and reading once."""
