//! The bearer secret of a token: its format, generation and digest.
//!
//! `tokward` + 43 characters that carry 256 random bits + 6 characters of CRC-32, all of them base 62: 56 characters
//! that are also valid base 64 (the contract's `type_base64_data`), that a double click selects whole and that no URL
//! has to escape. The prefix lets secret scanners find it; the checksum refuses typing errors without a look-up.

use std::{fmt, hint::black_box, io};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Refused, entropy::Entropy};

/// The prefix of every secret.
pub const PREFIX: &str = "tokward";
/// The length of a secret in characters.
pub const LENGTH: usize = PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 > 2^256.
const RANDOM_LENGTH: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM_LENGTH: usize = 6;

/// A well-formed bearer secret. Shown once, never stored, never logged, overwritten in memory when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The SHA-256 of a secret: what the store keeps and looks up by.
///
/// 256 random bits can't be guessed, so neither a slow nor a keyed hash would add anything.
#[derive(Clone, Copy, Eq)]
pub struct SecretDigest(pub [u8; 32]);

impl PartialEq for SecretDigest {
    /// Compares in constant time: the time must not reveal how many leading bytes of a known digest match.
    fn eq(&self, other: &Self) -> bool {
        let bytes = self.0.iter().zip(other.0);
        bytes.fold(0, |differing, (one, other)| black_box(differing | (one ^ other))) == 0
    }
}

impl Secret {
    /// A new secret with 256 random bits.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> io::Result<Self> {
        let mut random = Zeroizing::new([0; 32]);
        entropy.fill(&mut *random)?;
        // With this capacity the text is never reallocated, which would leave copies of it in memory.
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(base62(&mut *random, RANDOM_LENGTH)));
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self(text))
    }

    /// Parses a secret: checks its length, prefix, alphabet and checksum, without a look-up.
    ///
    /// # Errors
    /// When [`Secret::generate`] can't have generated the text. The reason doesn't quote the text.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let malformed = || Refused::because("is not a tokenward secret (see `tokenward secret`)");
        let well_formed =
            text.len() == LENGTH && text.starts_with(PREFIX) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let (body, sum) = text.split_at_checked(LENGTH - CHECKSUM_LENGTH).ok_or_else(malformed)?;
        if well_formed && checksum(body) == sum { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(malformed()) }
    }

    /// The digest by which the store finds the secret's token.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The secret as text, for the one response that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// True if a text may contain a secret and therefore must not be quoted.
#[must_use]
pub fn may_hold_secret(text: &str) -> bool {
    text.contains(PREFIX)
}

fn checksum(body: &str) -> String {
    base62(&mut crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH)
}

/// Writes a big-endian number in base 62, most significant digit first, padded to `length`. Overwrites the number.
fn base62(number: &mut [u8], length: usize) -> String {
    let digits: Zeroizing<Vec<char>> = (0..length)
        .map(|_| {
            let mut remainder = 0_u16;
            for byte in number.iter_mut() {
                let part = remainder << 8 | u16::from(*byte);
                *byte = u8::try_from(part / 62).unwrap_or(u8::MAX);
                remainder = part % 62;
            }
            ALPHABET.get(usize::from(remainder)).copied().map_or('0', char::from)
        })
        .collect::<Vec<_>>()
        .into();
    let mut text = String::with_capacity(length);
    text.extend(digits.iter().rev());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::OsEntropy;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
            buffer.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn the_format_is_stable() {
        let made = |byte| Secret::generate(&Fixed(byte)).unwrap().expose().to_owned();
        assert_eq!(made(0), format!("tokward{}{}", "0".repeat(43), checksum(&format!("tokward{}", "0".repeat(43)))));
        // 2^256 - 1 in base 62, as Python's int arithmetic writes it
        assert_eq!(made(255).get(7..50), Some("yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"));
        assert_eq!(made(255).len(), 56);
    }

    #[test]
    fn every_single_typing_error_is_recognised() {
        let good = Secret::generate(&OsEntropy).unwrap().expose().to_owned();
        assert!(Secret::parse(&good).is_ok());
        for at in 0..good.len() {
            for other in *ALPHABET {
                let mut bytes = good.clone().into_bytes();
                if bytes[at] != other {
                    bytes[at] = other;
                    assert!(Secret::parse(&String::from_utf8(bytes).unwrap()).is_err());
                }
            }
        }
        for bad in ["", "tokward", &good[1..], &good[..55], &format!("{good}0"), &good.to_lowercase(), &"é".repeat(28)]
        {
            assert!(Secret::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_are_equal_only_as_a_whole() {
        let digest = Secret::generate(&OsEntropy).unwrap().digest();
        assert!(digest == SecretDigest(digest.0));
        for bit in 0..256 {
            let mut other = digest;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert!(digest != other, "{bit}");
        }
    }

    #[test]
    fn debug_output_shows_nothing() {
        let secret = Secret::generate(&OsEntropy).unwrap();
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "[redacted] [redacted]");
    }
}
