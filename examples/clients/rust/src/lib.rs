//! The client, as progenitor makes it.

include!(concat!(env!("OUT_DIR"), "/tokenward.rs"));
