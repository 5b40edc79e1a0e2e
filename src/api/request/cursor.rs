//! `continue` tokens: where a page ended, sealed, for the client to carry (spec/contract/CONTRACT.md §8).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::context::Shared;
use crate::{
    api::wire::json::to_json,
    domain::{Refused, collection::Value},
    service::Result as ServiceResult,
};

/// The length of a seal in bytes: enough that none is ever guessed.
const SEAL: usize = 16;

/// What a `continue` token carries.
#[derive(Serialize, Deserialize)]
pub(in crate::api) struct Cursor {
    /// The filters that the page was made with.
    pub filters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The last item's value of the field that orders, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The last item's creation, in microseconds.
    pub created: i64,
    pub id: String,
}

impl Cursor {
    /// Seals what holds for this collection only.
    ///
    /// # Errors
    /// When it can't be written as JSON: a defect.
    pub fn seal(&self, collection: &str, shared: &Shared) -> ServiceResult<String> {
        let payload = to_json(self)?;
        let mut sealed = mac(collection, &payload, shared);
        sealed.extend(payload);
        Ok(BASE64.encode(sealed))
    }

    /// Opens what [`Cursor::seal`] made for this collection.
    ///
    /// # Errors
    /// When it wasn't ours, was altered or belongs to another collection.
    pub fn unseal(text: &str, collection: &str, shared: &Shared) -> Result<Self, Refused> {
        let foreign = || Refused::because("must be what the same collection answered last, unaltered");
        let sealed = BASE64.decode(text).map_err(|_| foreign())?;
        let (seal, payload) = sealed.split_at_checked(SEAL).ok_or_else(foreign)?;
        // How long a comparison takes tells nothing: an altered token is the client's own.
        if seal != mac(collection, payload, shared) {
            return Err(foreign());
        }
        serde_json::from_slice(payload).map_err(|_| foreign())
    }
}

/// The seal of a payload: HMAC-SHA-256, keyed with what only our servers know, over the collection and the payload.
fn mac(collection: &str, payload: &[u8], shared: &Shared) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(shared.service.continue_key()) else { return vec![] };
    mac.update(collection.as_bytes());
    // A path holds no NUL, so nothing of it can pass for payload.
    mac.update(&[0]);
    mac.update(payload);
    mac.finalize().into_bytes().into_iter().take(SEAL).collect()
}
