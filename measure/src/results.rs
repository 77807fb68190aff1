//! Results as JSON lines: a header, then one line an item.
