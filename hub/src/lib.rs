//! Files of the Hugging Face hub: addresses, the cache that its other clients share, downloads that resume, and publishing.
