"""How the embedded world's model was made: its training, its samples, its words, its card."""
