//! Session keys from a master key (RFC 3711 §4.3, RFC 6188 for 256 bits, RFC 7714 §11 for GCM).

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::{MasterKey, SrtpError};

/// Which of the two protocols a key is for; the labels of the second follow those of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// Session keys of one protocol in one direction.
pub(super) struct SessionKeys {
    /// Encryption key; the first 16 or all 32 bytes.
    pub(super) cipher: [u8; 32],
    /// Authentication key of HMAC-SHA1.
    pub(super) auth: [u8; 20],
    /// Salt; GCM uses the first 12 bytes.
    pub(super) salt: [u8; 14],
}

/// Derives the session keys; the key derivation rate is zero, so the packet index does not enter.
pub(super) fn derive(master: &MasterKey, protocol: Protocol) -> Result<SessionKeys, SrtpError> {
    let labels: [u8; 3] = match protocol {
        Protocol::Rtp => [0, 1, 2],
        Protocol::Rtcp => [3, 4, 5],
    };
    let [cipher_label, auth_label, salt_label] = labels;
    let key = counter_mode_key(master.key())?;
    let mut keys = SessionKeys {
        cipher: [0; 32],
        auth: [0; 20],
        salt: [0; 14],
    };
    let cipher = keys
        .cipher
        .get_mut(..master.profile().key_len())
        .ok_or(SrtpError::KeyLength)?;
    expand(&key, master.salt(), cipher_label, cipher)?;
    expand(&key, master.salt(), auth_label, &mut keys.auth)?;
    // The PRF output of a shorter salt is a prefix of that of a longer one.
    expand(&key, master.salt(), salt_label, &mut keys.salt)?;
    Ok(keys)
}

/// An AES key of 16 or 32 bytes in counter mode.
pub(super) fn counter_mode_key(bytes: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = match bytes.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(SrtpError::KeyLength),
    };
    let unbound = UnboundCipherKey::new(algorithm, bytes).map_err(|_| SrtpError::Crypto)?;
    EncryptingKey::ctr(unbound).map_err(|_| SrtpError::Crypto)
}

/// XORs the key stream that starts at counter block `iv` onto `in_out`.
pub(super) fn apply_key_stream(
    key: &EncryptingKey,
    iv: [u8; 16],
    in_out: &mut [u8],
) -> Result<(), SrtpError> {
    key.less_safe_encrypt(in_out, EncryptionContext::Iv128(FixedLength::from(iv)))
        .map(|_| ())
        .map_err(|_| SrtpError::Crypto)
}

/// The AES-CM PRF: key stream under `key` from counter block `(salt XOR label·2⁴⁸)·2¹⁶` (RFC 3711 §4.3.3).
fn expand(
    key: &EncryptingKey,
    salt: &[u8; 14],
    label: u8,
    out: &mut [u8],
) -> Result<(), SrtpError> {
    let mut iv = [0; 16];
    if let Some(head) = iv.first_chunk_mut() {
        *head = *salt;
    }
    if let Some(byte) = iv.get_mut(7) {
        *byte ^= label;
    }
    out.fill(0);
    apply_key_stream(key, iv, out)
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, vectors::hex};
    use super::*;

    #[test]
    fn counter_mode_gives_the_key_stream_of_rfc_3711_b2() {
        let key = counter_mode_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let iv = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = [0; 32];
        apply_key_stream(&key, iv, &mut stream).unwrap();
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB";
        assert_eq!(stream.to_vec(), hex(expected));
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b3() {
        let master = MasterKey::new(
            Profile::Aes128CmSha1_80,
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();
        let keys = derive(&master, Protocol::Rtp).unwrap();
        assert_eq!(
            keys.cipher[..16].to_vec(),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(keys.salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            keys.auth.to_vec(),
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }

    #[test]
    fn session_keys_of_256_bits_are_those_of_rfc_6188_7_4() {
        let master = MasterKey::new(
            Profile::Aes256CmSha1_80,
            &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
            &hex("3b04803de51ee7c96423ab5b78d2"),
        )
        .unwrap();
        let keys = derive(&master, Protocol::Rtp).unwrap();
        let cipher = "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4";
        assert_eq!(keys.cipher.to_vec(), hex(cipher));
        assert_eq!(keys.salt.to_vec(), hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(
            keys.auth.to_vec(),
            hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
        );
    }
}
