//! `continue` tokens: the position at which a page ended, protected against changes by a MAC (spec/contract/CONTRACT.md
//! §8).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _, digest::InvalidLength};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::context::Shared;
use crate::{
    api::wire::json::to_json,
    domain::{Refused, collection::Value},
    service::{Error, Result as ServiceResult},
};

/// The length of the MAC in bytes: too long to be guessed.
const SEAL: usize = 16;

/// The content of a `continue` token.
#[derive(Serialize, Deserialize)]
pub(in crate::api) struct Cursor {
    /// The filters that the page was made with.
    pub filters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The last item's value of the field in `orderBy`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When the last item was created, in microseconds since the Unix epoch.
    pub created: i64,
    pub id: String,
}

impl Cursor {
    /// Encodes the cursor as a token that is valid for this collection only.
    ///
    /// # Errors
    /// When it can't be serialized: a defect.
    pub fn seal(&self, collection: &str, shared: &Shared) -> ServiceResult<String> {
        let payload = to_json(self)?;
        let mac = mac(collection, &payload, shared).map_err(Error::internal)?;
        let mut sealed: Vec<u8> = mac.finalize().into_bytes().into_iter().take(SEAL).collect();
        sealed.extend(payload);
        Ok(BASE64.encode(sealed))
    }

    /// Decodes a token that [`Cursor::seal`] made for this collection.
    ///
    /// # Errors
    /// When this server didn't make it, or it was altered, or it belongs to another collection.
    pub fn unseal(text: &str, collection: &str, shared: &Shared) -> Result<Self, Refused> {
        let foreign = || Refused::because("must be what the same collection answered last, unaltered");
        let sealed = BASE64.decode(text).map_err(|_| foreign())?;
        let (seal, payload) = sealed.split_at_checked(SEAL).ok_or_else(foreign)?;
        // Compared in constant time.
        let is_ours = mac(collection, payload, shared).is_ok_and(|mac| mac.verify_truncated_left(seal).is_ok());
        if !is_ours {
            return Err(foreign());
        }
        serde_json::from_slice(payload).map_err(|_| foreign())
    }
}

/// The MAC of a payload: HMAC-SHA-256 over the collection and the payload, with a key that only our servers know. Its
/// first 16 bytes are the seal.
fn mac(collection: &str, payload: &[u8], shared: &Shared) -> Result<Hmac<Sha256>, InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(shared.service.continue_key())?;
    mac.update(collection.as_bytes());
    // A path holds no NUL, so nothing of it can pass for payload.
    mac.update(&[0]);
    mac.update(payload);
    Ok(mac)
}
