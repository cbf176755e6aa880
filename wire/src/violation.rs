//! What a peer can do wrong with frames, and the close code that answers it.

/// A fault of the peer that ends the connection (RFC 6455 7.1.7).
///
/// The caller sends a close frame with [`close_code`](Self::close_code) and ends TCP cleanly; nothing more is to be
/// read as frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A reserved bit without an extension that gives it a meaning (5.2).
    ReservedBits,
    /// RSV1 on a control or continuation frame, although compression is spoken (RFC 7692 6.1).
    DeflatedOutOfPlace,
    /// An opcode of 3–7 or 11–15 (5.2).
    ReservedOpcode,
    /// A close, ping or pong without FIN (5.5).
    FragmentedControl,
    /// A close, ping or pong that declares more than 125 bytes (5.5).
    LongControl,
    /// A continuation without a message to go on with (5.4).
    ContinuationWithoutStart,
    /// A new message inside a fragmented one (5.4).
    MessageInsideMessage,
    /// A client's frame without a mask (5.1).
    Unmasked,
    /// A server's frame with a mask (5.1).
    Masked,
    /// A length that would have fitted into a shorter form (5.2).
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (5.2).
    LengthTopBit,
    /// A close frame whose body is a single byte (5.5.1).
    CloseOneByte,
    /// A close code that must not be sent (7.4).
    CloseCode,
    /// A close reason that is not UTF-8 (5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (8.1).
    TextNotUtf8,
    /// A compressed message that cannot be inflated (RFC 7692 7.2.2).
    NotInflatable,
    /// A message over the limit. Known from its header, before any of it is stored, or, if it is compressed, from the first
    /// inflated byte beyond the limit.
    TooBig,
    /// A binary message where only text is spoken.
    BinaryRefused,
}

impl Violation {
    /// Every violation there is.
    pub const ALL: [Self; 18] = [
        Self::ReservedBits,
        Self::DeflatedOutOfPlace,
        Self::ReservedOpcode,
        Self::FragmentedControl,
        Self::LongControl,
        Self::ContinuationWithoutStart,
        Self::MessageInsideMessage,
        Self::Unmasked,
        Self::Masked,
        Self::LengthNotMinimal,
        Self::LengthTopBit,
        Self::CloseOneByte,
        Self::CloseCode,
        Self::CloseReasonNotUtf8,
        Self::TextNotUtf8,
        Self::NotInflatable,
        Self::TooBig,
        Self::BinaryRefused,
    ];

    /// The code that answers it: 1002, 1003, 1007 or 1009.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ReservedBits
            | Self::DeflatedOutOfPlace
            | Self::ReservedOpcode
            | Self::FragmentedControl
            | Self::LongControl
            | Self::ContinuationWithoutStart
            | Self::MessageInsideMessage
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::CloseOneByte
            | Self::CloseCode => 1002,
            Self::BinaryRefused => 1003,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::NotInflatable => 1007,
            Self::TooBig => 1009,
        }
    }

    /// Says the same in words; short enough for a close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set without its extension",
            Self::DeflatedOutOfPlace => "control or continuation frame marked as compressed",
            Self::ReservedOpcode => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::LongControl => "control frame over 125 bytes",
            Self::ContinuationWithoutStart => "continuation without a message",
            Self::MessageInsideMessage => "new message inside a fragmented one",
            Self::Unmasked => "client frame without mask",
            Self::Masked => "server frame with mask",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthTopBit => "length with its highest bit set",
            Self::CloseOneByte => "close frame with a body of one byte",
            Self::CloseCode => "close code that must not be sent",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::TextNotUtf8 => "text is not UTF-8",
            Self::NotInflatable => "message cannot be inflated",
            Self::TooBig => "message too big",
            Self::BinaryRefused => "binary is not spoken here",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
