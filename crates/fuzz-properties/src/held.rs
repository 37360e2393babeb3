//! What a machine holds, counted by the allocator.

/// The smallest change in bookkeeping: a boxed state, a log line, an allocator's rounding.
const SMALL: usize = 1024;

/// Calls `run`, and checks that what it gives takes no more than `budget` bytes.
pub(crate) fn at_most<T>(budget: usize, run: impl FnOnce() -> T) {
    let mut kept = None;
    let info = allocation_counter::measure(|| kept = Some(run()));
    let held = usize::try_from(info.bytes_current).unwrap_or(0);
    assert!(held <= budget + SMALL, "{held} bytes are held, and the budget is {budget}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_kept() {
        at_most(SMALL, || vec![0_u8; SMALL]);
        at_most(0, || vec![0_u8; 100 * SMALL].len());
        let too_much = std::panic::catch_unwind(|| at_most(0, || vec![0_u8; 2 * SMALL]));
        assert!(too_much.is_err());
    }
}
