//! The forms in which a user's UUID comes (outbox/1b).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Characters of the canonical form.
const CANONICAL_CHARS: usize = 36;

/// The canonical form in lower case of a UUID in canonical form, its digits of either case.
pub(super) fn canonical(text: &str) -> Option<String> {
    // Of all forms that are understood here the canonical one alone is so long.
    let text = Some(text).filter(|text| text.len() == CANONICAL_CHARS)?;
    Uuid::try_parse(text).ok().map(|uuid| uuid.to_string())
}

/// The same of the part of a path that names a user: it may also be base64url of the 16 bytes, without padding.
pub(super) fn decode(encoded: &str) -> Option<String> {
    canonical(encoded).or_else(|| {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        Uuid::from_slice(&bytes).ok().map(|uuid| uuid.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_taken_in_two_forms_and_no_other() {
        let uuid = "0191e7c1-7b2a-7c3d-8e4f-fffb7c8d9e0f";
        for (encoded, taken) in [
            (uuid, true),
            ("0191E7C1-7B2A-7C3D-8e4f-fFFB7C8D9E0F", true),
            ("AZHnwXsqfD2OT__7fI2eDw", true),
            ("AZHnwXsqfD2OT__7fI2eDw==", false),
            ("AZHnwXsqfD2OT//7fI2eDw", false),
            // The last character says more than the 16 bytes.
            ("AZHnwXsqfD2OT__7fI2eDx", false),
            ("AZHnwXsqfD2OT__7fI2e", false),
            ("AZHnwXsqfD2OT__7fI2eDwAA", false),
            ("0191e7c17b2a7c3d8e4ffffb7c8d9e0f", false),
            ("{0191e7c1-7b2a-7c3d-8e4f-fffb7c8d9e0f}", false),
            ("urn:uuid:0191e7c1-7b2a-7c3d-8e4f-fffb7c8d9e0f", false),
            ("0191e7c1-7b2a-7c3d-8e4f-fffb7c8d9e0g", false),
            ("", false),
        ] {
            assert_eq!(decode(encoded).as_deref(), taken.then_some(uuid), "{encoded}");
        }
        assert_eq!(canonical(uuid).as_deref(), Some(uuid));
        assert_eq!(canonical("AZHnwXsqfD2OT__7fI2eDw"), None);
    }
}
