plugin_api::export_plugin!(average::Average);
