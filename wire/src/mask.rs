//! Masking (RFC 6455 5.3): the same operation puts the mask on and takes it off.

/// XORs `payload` with `key`, beginning with the key's first byte.
///
/// A payload that comes in pieces is continued with [`rotated`]. Works eight bytes at a time on any alignment;
/// the loop is one that compilers turn into the widest registers they may use.
pub fn apply(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (chunks, tail) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// The key with which a payload goes on after its first `bytes` bytes.
#[must_use]
pub const fn rotated(key: [u8; 4], bytes: usize) -> [u8; 4] {
    let phase = bytes % 4;
    [
        key[phase],
        key[(phase + 1) % 4],
        key[(phase + 2) % 4],
        key[(phase + 3) % 4],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte_by_byte(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        payload
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ key[at % 4])
            .collect()
    }

    #[test]
    fn every_length_alignment_and_phase_agrees_with_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let bytes: Vec<u8> = (0..=255).collect();
        for start in 0..9 {
            for length in 0..70 {
                let expected = byte_by_byte(&bytes[start..start + length], key);
                for cut in 0..=length {
                    let mut masked = bytes.clone();
                    let payload = &mut masked[start..start + length];
                    let (first, second) = payload.split_at_mut(cut);
                    apply(first, key);
                    apply(second, rotated(key, cut));
                    assert_eq!(payload, expected, "start {start}, length {length}, cut {cut}");
                }
            }
        }
    }
}
