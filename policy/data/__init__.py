"""The SentencePiece model that ships, and what made it."""
