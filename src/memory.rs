//! Memory: who allocates it, and when it goes back to the system.
//!
//! What Gatepost allocates itself comes from mimalloc: with it a login takes 7,000 instructions less than with the C
//! library's allocator, and an idle session a fifth less memory. OpenSSL has its small pieces from mimalloc too
//! (`tls::init`), and the large ones from the C library. Both keep what was freed for the next time. That is right
//! from one session to the next, and wrong after a storm, of sessions or of logins, which take several times as much: so
//! when half of many have gone, each thread gives back what it does not use ([`Tide`]).

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::event_loop::time::{sleep, tick};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// mimalloc. Asked without an alignment where any block has it, it takes half as long.
struct Allocator;

/// Whether a block that is large enough is aligned well enough, as the start of `mi_malloc` promises.
const fn is_common(layout: Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

// SAFETY: the functions keep what the trait asks for: blocks are as large and as aligned as the layout says, hold what they
// held when they move, and are given back by the allocator that they came from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two will do.
        unsafe {
            if is_common(layout) {
                libmimalloc_sys::mi_malloc(layout.size()).cast()
            } else {
                libmimalloc_sys::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            if is_common(layout) {
                libmimalloc_sys::mi_zalloc(layout.size()).cast()
            } else {
                libmimalloc_sys::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has it from here.
        unsafe { libmimalloc_sys::mi_free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here, and does not use it any more if it moves.
        unsafe {
            if layout.align() <= 16 && layout.align() <= size {
                libmimalloc_sys::mi_realloc(block.cast(), size).cast()
            } else {
                libmimalloc_sys::mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

/// How long nothing has ebbed before memory is given back, and at most twice that: until then more may end, or others come.
const DELAY: Duration = Duration::from_millis(500);

/// How often that is waited for at most.
const DELAYS: usize = 120;

/// Gives back to the system what this thread does not use of what comes from mimalloc.
pub fn give_back_own() {
    /// While one thread gives back, mimalloc leaves out what others would.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // A thread that ends gives back by itself, and cannot be made to wait: so twice.
    for _ in 0..2 {
        // SAFETY: it looks at nothing but free memory, which nobody has a pointer to.
        unsafe { libmimalloc_sys::mi_collect(true) }
    }
}

/// The same for what nobody uses of the C library's memory, whichever thread. Takes a few milliseconds for each 10 MB.
fn give_back_shared() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: as above.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How many there are of something that takes memory, and whether they have become few.
#[derive(Debug)]
pub struct Tide {
    /// The high-water mark: the most since the last ebb.
    high: AtomicUsize,
    /// Tells of each, and keeps whether what threads share is still to be given back after the last.
    ebbs: watch::Sender<bool>,
}

impl Default for Tide {
    fn default() -> Tide {
        Tide { high: AtomicUsize::new(0), ebbs: watch::Sender::new(false) }
    }
}

impl Tide {
    /// For something else, with ebbs that count as this one's too.
    pub fn beside(&self) -> Tide {
        Tide { high: AtomicUsize::new(0), ebbs: self.ebbs.clone() }
    }

    /// There are so many now, which is more than before.
    pub fn rose_to(&self, count: usize) {
        if count > self.high.load(Ordering::Relaxed) {
            self.high.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// There are so many now, which is fewer than before. It is an ebb if there were at least `many`, since less is not worth
    /// the trouble, and half of them at most are left.
    pub fn fell_to(&self, count: usize, many: usize) {
        let high = self.high.load(Ordering::Relaxed);
        let ebb = high >= many && count <= high / 2;
        if ebb && self.high.compare_exchange(high, count, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.ebbs.send_replace(true);
        }
    }

    /// Gives the memory of the calling thread back after each ebb, for ever, and what all threads share if it is the first.
    pub fn follow(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, mut ebbs) = (self.ebbs.clone(), self.ebbs.subscribe());
        async move {
            while ebbs.changed().await.is_ok() {
                calm(&mut ebbs).await;
                give_back_own();
                if is_first(&sender) {
                    give_back_shared();
                }
                // That took its time.
                tick();
            }
        }
    }
}

/// Whether nobody has asked this since the last ebb.
fn is_first(ebbs: &watch::Sender<bool>) -> bool {
    let mut is_first = false;
    ebbs.send_if_modified(|shared| {
        is_first = std::mem::take(shared);
        false
    });
    is_first
}

/// Waits until nothing has ebbed for a while, but not for ever.
async fn calm(ebbs: &mut watch::Receiver<bool>) {
    for _ in 0..DELAYS {
        ebbs.mark_unchanged();
        sleep(DELAY).await;
        if !ebbs.has_changed().is_ok_and(|changed| changed) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event_loop::{self, testing, time::now};

    const MANY: usize = 500;

    /// Of this process, in the machine's memory, bytes.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    #[test]
    fn threads_that_give_back_at_the_same_time_do_not_leave_each_others_out() {
        const SIZE: usize = 19 * 1024 * 1024;
        for round in 0..20 {
            let together = std::sync::Barrier::new(2);
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        let block = vec![1u8; SIZE];
                        std::hint::black_box(&block);
                        together.wait();
                        drop(block);
                        give_back_own();
                    });
                }
            });
            assert!(resident() < SIZE, "{} bytes in round {round}", resident());
        }
    }

    #[test]
    fn an_ebb_is_when_half_of_many_have_gone() {
        let tide = Tide::default();
        let mut ebbs = tide.ebbs.subscribe();
        let mut is_ebb = |count| {
            tide.fell_to(count, MANY);
            let changed = ebbs.has_changed().is_ok_and(|changed| changed);
            ebbs.mark_unchanged();
            changed
        };
        tide.rose_to(MANY - 1);
        assert!(!is_ebb(0), "not many");
        tide.rose_to(2 * MANY);
        assert!(!is_ebb(MANY + 1));
        assert!(is_ebb(MANY));
        assert!(!is_ebb(MANY - 1), "half of what there were at the last ebb");
        assert!(is_ebb(MANY / 2));
        assert!(!is_ebb(0), "too few");
        tide.rose_to(MANY);
        assert!(is_ebb(0));
    }

    #[test]
    fn after_each_ebb_one_is_the_first() {
        let tide = Tide::default();
        assert!(!is_first(&tide.ebbs), "no ebb yet");
        for _ in 0..2 {
            tide.rose_to(MANY);
            tide.beside().fell_to(0, MANY);
            assert!(!is_first(&tide.ebbs), "that was never high");
            tide.fell_to(0, MANY);
            let ebbs = tide.ebbs.subscribe();
            assert_eq!([0; 3].map(|_| is_first(&tide.beside().ebbs)), [true, false, false]);
            assert!(!ebbs.has_changed().is_ok_and(|changed| changed), "asking is no ebb");
        }
    }

    #[test]
    fn it_is_calm_when_nothing_has_ebbed_for_a_while() {
        for (ebbs, delays) in [(0, 1), (1, 2), (3, 4), (1000, DELAYS as u32)] {
            testing::run_paused(move || async move {
                let tide = Tide::default();
                let (sender, mut receiver) = (tide.ebbs.clone(), tide.ebbs.subscribe());
                event_loop::spawn(async move {
                    for _ in 0..ebbs {
                        sleep(DELAY / 2).await;
                        sender.send_replace(true);
                        sleep(DELAY / 2).await;
                    }
                });
                let begin = now();
                calm(&mut receiver).await;
                assert_eq!(now() - begin, delays * DELAY, "{ebbs}");
            });
        }
    }
}
