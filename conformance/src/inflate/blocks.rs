//! Deflate (RFC 1951), read in the plainest way there is: a bit at a time, and every reference checked.

/// A code has at most so many bits.
const CODE_BITS_MAX: usize = 15;

/// What lengths from 257 on stand for: the shortest, and how many bits follow.
#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1), (19, 2), (23, 2),
    (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4), (131, 5), (163, 5),
    (195, 5), (227, 5), (258, 0),
];

/// The same for distances.
#[rustfmt::skip]
const DISTANCES: [(u16, u8); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4), (65, 5), (97, 5),
    (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9), (2049, 10), (3073, 10),
    (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];

/// In which order the lengths of the codes for the codes' lengths are written.
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What is no Deflate, or does not end where it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads whole blocks.
pub(super) struct Blocks<'a> {
    bytes: &'a [u8],
    /// Bits that have been read.
    at: usize,
    /// What is inflated goes behind what was there before.
    out: &'a mut Vec<u8>,
    /// As long as `out` may become.
    out_bytes_max: usize,
    /// The furthest that anything referred back, and how far before the beginning of this message.
    pub(super) reach: Reach,
}

/// How far back references went, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) distance_max: usize,
    /// Bytes of earlier messages that were needed.
    pub(super) earlier_bytes: usize,
}

/// Canonical Huffman codes (3.2.2): how many there are of each length, and what they stand for, in order.
struct Codes {
    counts: [u16; CODE_BITS_MAX + 1],
    symbols: Vec<u16>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8], out: &'a mut Vec<u8>, message_bytes_max: usize) -> Self {
        Self {
            bytes,
            at: 0,
            out_bytes_max: out.len() + message_bytes_max,
            out,
            reach: Reach::default(),
        }
    }

    /// Reads blocks until the bytes end, which must be the end of a block. A last block is followed by another stream, from the
    /// next whole byte on; it is also fine if so many bytes are left as `spare` says.
    pub(super) fn read_all(&mut self, spare: usize) -> Result<(), Malformed> {
        let start = self.out.len();
        let mut after_last = false;
        loop {
            let left = self.bytes.len() * 8 - self.at;
            if left == 0 || after_last && left == spare * 8 {
                return Ok(());
            }
            let last = self.bits(1)? == 1;
            match self.bits(2)? {
                0 => self.stored()?,
                1 => {
                    let (lengths, distances) = fixed();
                    self.coded(&lengths, &distances, start)?;
                }
                2 => {
                    let (lengths, distances) = self.tables()?;
                    self.coded(&lengths, &distances, start)?;
                }
                _ => return Err(Malformed),
            }
            if last {
                self.align();
            }
            after_last = last;
        }
    }

    fn bits(&mut self, count: u8) -> Result<usize, Malformed> {
        (0..count).try_fold(0, |value, bit| {
            let byte = self.bytes.get(self.at / 8).ok_or(Malformed)?;
            let set = usize::from(byte >> (self.at % 8) & 1);
            self.at += 1;
            Ok(value | set << bit)
        })
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn give(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.out.len() == self.out_bytes_max {
            return Err(Malformed);
        }
        self.out.push(byte);
        Ok(())
    }

    fn stored(&mut self) -> Result<(), Malformed> {
        self.align();
        let length = self.bits(16)?;
        if self.bits(16)? != length ^ 0xFFFF {
            return Err(Malformed);
        }
        for _ in 0..length {
            let byte = self.bits(8)?;
            self.give(u8::try_from(byte).expect("eight bits"))?;
        }
        Ok(())
    }

    fn symbol(&mut self, codes: &Codes) -> Result<u16, Malformed> {
        let (mut code, mut first, mut index) = (0_usize, 0, 0);
        for bits in 1..=CODE_BITS_MAX {
            code |= self.bits(1)?;
            let count = usize::from(codes.counts[bits]);
            if code < first + count {
                return codes.symbols.get(index + code - first).copied().ok_or(Malformed);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Malformed)
    }

    /// A block of codes. `start`: where the message begins in what is inflated.
    fn coded(&mut self, lengths: &Codes, distances: &Codes, start: usize) -> Result<(), Malformed> {
        loop {
            match self.symbol(lengths)? {
                256 => return Ok(()),
                literal @ 0..=255 => self.give(u8::try_from(literal).expect("below 256"))?,
                symbol => {
                    let (shortest, bits) = *LENGTHS.get(usize::from(symbol - 257)).ok_or(Malformed)?;
                    let length = usize::from(shortest) + self.bits(bits)?;
                    let symbol = self.symbol(distances)?;
                    let (shortest, bits) = *DISTANCES.get(usize::from(symbol)).ok_or(Malformed)?;
                    let distance = usize::from(shortest) + self.bits(bits)?;
                    let from = self.out.len().checked_sub(distance).ok_or(Malformed)?;
                    self.reach.distance_max = self.reach.distance_max.max(distance);
                    self.reach.earlier_bytes = self.reach.earlier_bytes.max(start.saturating_sub(from));
                    for at in from..from + length {
                        self.give(self.out[at])?;
                    }
                }
            }
        }
    }

    /// The codes of a block that brings its own (3.2.7).
    fn tables(&mut self) -> Result<(Codes, Codes), Malformed> {
        let literals = self.bits(5)? + 257;
        let distances = self.bits(5)? + 1;
        let written = self.bits(4)? + 4;
        let mut lengths = [0; 19];
        for place in &LENGTHS_ORDER[..written] {
            lengths[*place] = self.bits(3)?;
        }
        let codes = Codes::new(&lengths)?;
        let mut lengths = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&codes)? {
                16 => (*lengths.last().ok_or(Malformed)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (usize::from(length), 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() > literals + distances {
            return Err(Malformed);
        }
        let (literals, distances) = lengths.split_at(literals);
        Ok((Codes::new(literals)?, Codes::new(distances)?))
    }
}

impl Codes {
    /// From the length of each symbol's code; 0 is none.
    fn new(lengths: &[usize]) -> Result<Self, Malformed> {
        let mut counts = [0; CODE_BITS_MAX + 1];
        let mut symbols = Vec::new();
        for (bits, count) in counts.iter_mut().enumerate().skip(1) {
            let of_this_length = lengths.iter().enumerate().filter(|(_, length)| **length == bits);
            let before = symbols.len();
            symbols.extend(of_this_length.map(|(symbol, _)| u16::try_from(symbol).expect("at most 287")));
            *count = u16::try_from(symbols.len() - before).expect("at most 288");
        }
        // More codes than there can be of these lengths mean nothing.
        let used: usize = (1..=CODE_BITS_MAX)
            .map(|bits| usize::from(counts[bits]) << (CODE_BITS_MAX - bits))
            .sum();
        if used > 1 << CODE_BITS_MAX {
            return Err(Malformed);
        }
        Ok(Self { counts, symbols })
    }
}

/// The codes of a block that brings none (3.2.6).
fn fixed() -> (Codes, Codes) {
    let lengths: Vec<usize> = (0..288)
        .map(|symbol| match symbol {
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        })
        .collect();
    let known = "the RFC's own codes are right";
    (
        Codes::new(&lengths).expect(known),
        Codes::new(&[5; 30]).expect(known),
    )
}
