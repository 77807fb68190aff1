plugin_api::export_plugin!(confidence::Confidence);
