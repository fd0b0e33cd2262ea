"""Publishing to the Hugging Face Hub, and fetching cards from it."""
