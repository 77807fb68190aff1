plugin_api::export_plugin!(blend::Blend);
