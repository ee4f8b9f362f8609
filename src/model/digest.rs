//! What is kept of a secret: its SHA-256.

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// The SHA-256 of a secret that nobody can guess: 128 random bits or more, so that no salt and no slow hash is needed.
/// Two are compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hex digits")]
pub struct DigestError;

impl Digest {
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        // both have the length of a SHA-256
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.as_bytes();
        // from_str_radix takes a sign
        if digits.len() != 2 * SHA256_OUTPUT_LEN || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(DigestError);
        }
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| DigestError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_sha256sum_prints_and_reads_back() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Digest::of(b"abc")));
        assert_eq!(abc.to_uppercase().parse(), Ok(Digest::of(b"abc")));
        assert_ne!(Digest::of(b"abd"), Digest::of(b"abc"));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "ba78", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65), &format!("+f{}", "0".repeat(62))] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
        assert_eq!("é".repeat(32).parse::<Digest>(), Err(DigestError));
    }
}
