plugin_api::export_plugin!(voting::Voting);
