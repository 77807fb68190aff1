//! The fusion `confidence` as a shared library.

plugin_api::export_plugin!(confidence::Confidence);
