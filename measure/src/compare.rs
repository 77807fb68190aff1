//! Two results on the same items, paired.
