//! Tasks: items, prompts, and what counts as right.
