//! The policy `retraction` as a shared library.

plugin_api::export_plugin!(retraction::Retraction);
