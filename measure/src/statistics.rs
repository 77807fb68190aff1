//! Intervals and tests for paired and unpaired figures.
