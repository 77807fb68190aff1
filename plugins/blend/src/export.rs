//! The fusion `blend` as a shared library.

plugin_api::export_plugin!(blend::Blend);
