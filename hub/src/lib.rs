//! Files of the Hugging Face hub: addresses, the cache that its other clients share, downloads that resume, and publishing.
//!
//! One [`Hub`] has an endpoint, a token and a cache, which [`Settings`] take from the environment as the hub's Python client
//! does. [`Hub::fetch`] brings the file of an [`Address`] into the cache, [`Hub::publish`] sends a folder. Both tell a
//! [`Watch`] how far they are, and ask it whether to go on.
//!
//! What is kept to:
//!
//! - A file enters the cache under its name only after its hash was compared with the hub's.
//! - The token goes to the endpoint's own origin and nowhere else, and stands in no message.
//! - Every loop over the network has an end, and every wait can be cancelled.
//! - Without a network, and offline, the cache alone answers.

mod address;
mod cache;
mod choice;
mod client;
mod digest;
mod download;
mod error;
mod fetch;
mod listing;
mod lock;
mod metadata;
#[cfg(feature = "mock")]
pub mod mock;
mod patience;
mod publish;
mod settings;
mod token;
mod watch;

pub use address::{Address, Selection};
pub use error::HubError;
pub use fetch::Fetched;
pub use listing::{Listing, RemoteFile};
pub use patience::Patience;
pub use publish::{PublishOptions, Published, PublishedFile, State};
pub use settings::Settings;
pub use token::Token;
pub use watch::{Notice, Watch};

use client::Client;

/// The hub, as one endpoint, one token and one cache.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    client: Client,
}

impl Hub {
    /// A hub with the settings that the environment gives.
    pub fn from_env() -> Result<Self, HubError> {
        Settings::from_env().and_then(Self::new)
    }

    /// A hub with these settings.
    pub fn new(settings: Settings) -> Result<Self, HubError> {
        let client = Client::new(&settings)?;
        Ok(Self { settings, client })
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
