"""What only the book's pages need: figures, explorers, live source, feedback on exercises, the running comparison."""
