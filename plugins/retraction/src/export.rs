plugin_api::export_plugin!(retraction::Retraction);
