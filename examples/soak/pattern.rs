//! Bytes that tell where they belong: of which message, and where in it.

use crate::random::Random;

/// How much is made at once, bytes.
const BLOCK: usize = 4096;

/// The bytes of one message, from its first to wherever one stops asking.
pub(crate) struct Pattern {
    random: Random,
    block: [u8; BLOCK],
    at: usize,
}

impl Pattern {
    /// Those of that message.
    pub(crate) fn new(message: u64) -> Pattern {
        Pattern { random: Random::new(message), block: [0; BLOCK], at: BLOCK }
    }

    /// The next bytes: at least one, at most `limit`.
    pub(crate) fn take(&mut self, limit: usize) -> &[u8] {
        if self.at == BLOCK {
            for word in self.block.chunks_exact_mut(8) {
                word.copy_from_slice(&self.random.next().to_le_bytes());
            }
            self.at = 0;
        }
        let from = self.at;
        self.at = BLOCK.min(from + limit);
        &self.block[from..self.at]
    }

    /// Whether these are the next. If not, where they part.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let expected = self.take(rest.len());
            let (now, later) = rest.split_at(expected.len());
            if now != expected {
                let same = now.iter().zip(expected).take_while(|(a, b)| a == b).count();
                return Err(bytes.len() - rest.len() + same);
            }
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_cut() {
        let mut message = Vec::new();
        let mut pattern = Pattern::new(7);
        while message.len() < 3 * BLOCK {
            message.extend_from_slice(pattern.take(1000));
        }
        for size in [1, 8, 4095, 4096, 5000] {
            let mut pattern = Pattern::new(7);
            assert!(message.chunks(size).all(|piece| pattern.check(piece).is_ok()));
        }
        message.remove(5000);
        assert_eq!(Pattern::new(7).check(&message), Err(5000));
        assert!(Pattern::new(8).check(&message).is_err());
    }
}
