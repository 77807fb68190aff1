//! The fusion `contrast` as a shared library.

plugin_api::export_plugin!(contrast::Contrast);
