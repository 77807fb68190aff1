//! The fusion `average` as a shared library.

plugin_api::export_plugin!(average::Average);
