//! Inputs divided into fields, and byte streams cut into pieces.

/// What stands between the fields of an input: ASCII's record separator.
pub const DIVIDER: u8 = 0x1e;

/// The fields of an input, one after the other.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Fields<'a> {
        Fields(input)
    }

    /// One byte, zero if there is none.
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// The bytes up to the next divider.
    pub(crate) fn next(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == DIVIDER);
        let (field, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        field
    }

    /// All that is left, dividers and all.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// How a stream is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// Not at all.
    Whole,
    /// Everywhere.
    Bytes,
    /// At places that look random and follow from this number.
    At(u64),
}

impl Cut {
    /// The ways in which each input is tried, the one to compare with first.
    pub(crate) fn ways(input: &[u8]) -> [Cut; 4] {
        let seed = input
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        [Cut::Whole, Cut::Bytes, Cut::At(seed), Cut::At(!seed)]
    }

    /// The pieces, none of them empty.
    pub(crate) fn pieces(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut random = match self {
            Cut::Whole => return if bytes.is_empty() { Vec::new() } else { vec![bytes] },
            Cut::Bytes => return bytes.chunks(1).collect(),
            Cut::At(seed) => seed | 1,
        };
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let longest = bytes.len().min(1 << (random % 9)) as u64;
            let (piece, rest) = bytes.split_at(1 + ((random >> 16) % longest) as usize);
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_divided() {
        let mut fields = Fields::new(b"xa\x1e\x1eb\x1ec");
        assert_eq!(fields.byte(), b'x');
        assert_eq!((fields.next(), fields.next()), (&b"a"[..], &b""[..]));
        assert_eq!(fields.rest(), b"b\x1ec");
        let mut nothing = Fields::new(b"");
        assert_eq!((nothing.byte(), nothing.next()), (0, &b""[..]));
    }

    #[test]
    fn pieces_make_up_the_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for cut in Cut::ways(&bytes) {
            assert_eq!(cut.pieces(&bytes).concat(), bytes, "{cut:?}");
            assert!(cut.pieces(b"").is_empty());
        }
        assert!(Cut::ways(&bytes)[2].pieces(&bytes).len() > 2);
    }
}
