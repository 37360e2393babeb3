//! Where OpenSSL's memory comes from.
//!
//! Small pieces, of which a login takes and gives back seven hundred, come from mimalloc, like Gatepost's own memory. Larger
//! ones stay with the C library: mimalloc rounds them up further, and what lasts as long as a session is large.

use std::ffi::{c_char, c_int, c_void};

use libmimalloc_sys::{mi_free, mi_is_in_heap_region, mi_malloc, mi_realloc};

/// What is small.
const SMALL: usize = 512;

/// To be called before OpenSSL allocates anything: it keeps to what it has begun with.
pub(in crate::tls) fn set_allocator() {
    unsafe extern "C" {
        fn CRYPTO_set_mem_functions(
            allocate: unsafe extern "C" fn(usize, *const c_char, c_int) -> *mut c_void,
            reallocate: unsafe extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void,
            free: unsafe extern "C" fn(*mut c_void, *const c_char, c_int),
        ) -> c_int;
    }
    // SAFETY: they do for each other's pieces what those of the C library do.
    unsafe { CRYPTO_set_mem_functions(allocate, reallocate, free) };
}

unsafe extern "C" fn allocate(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    // SAFETY: no conditions.
    unsafe { if size <= SMALL { mi_malloc(size) } else { libc::malloc(size) } }
}

/// Only of a piece that [`allocate`] or this has given, or of none.
unsafe extern "C" fn reallocate(piece: *mut c_void, size: usize, file: *const c_char, line: c_int) -> *mut c_void {
    // SAFETY: no conditions, then; a piece goes back to where it came from.
    unsafe {
        match piece.is_null() {
            true => allocate(size, file, line),
            false if mi_is_in_heap_region(piece) => mi_realloc(piece, size),
            false => libc::realloc(piece, size),
        }
    }
}

/// Only of a piece that the others have given, or of none.
unsafe extern "C" fn free(piece: *mut c_void, _: *const c_char, _: c_int) {
    // Two in five are none.
    if piece.is_null() {
        return;
    }
    // SAFETY: it goes back to where it came from.
    unsafe { if mi_is_in_heap_region(piece) { mi_free(piece) } else { libc::free(piece) } }
}

#[cfg(test)]
mod tests {
    use std::{ptr, slice};

    use super::*;

    #[test]
    fn pieces_grow_and_shrink_and_go_back_to_where_they_came_from() {
        // SAFETY: each piece is one of these functions', as long as what is read and written, and freed once.
        unsafe {
            for (from, to) in [(1, SMALL), (SMALL, 100_000), (100_000, 1), (SMALL + 1, SMALL)] {
                let piece = allocate(from, ptr::null(), 0);
                assert_eq!(mi_is_in_heap_region(piece), from <= SMALL);
                ptr::write_bytes(piece.cast::<u8>(), 7, from);
                let moved = reallocate(piece, to, ptr::null(), 0);
                let kept = slice::from_raw_parts(moved.cast::<u8>(), from.min(to));
                assert!(kept.iter().all(|&byte| byte == 7));
                free(moved, ptr::null(), 0);
            }
            free(reallocate(ptr::null_mut(), 5, ptr::null(), 0), ptr::null(), 0);
            free(ptr::null_mut(), ptr::null(), 0);
        }
    }
}
