//! The fusion `voting` as a shared library.

plugin_api::export_plugin!(voting::Voting);
