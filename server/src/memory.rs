//! Memory that a crowd leaves behind goes back to the system.

/// Has the allocator give back the pages that nothing lives on any more. It goes through all of its memory, which takes
/// milliseconds, and holds its locks one after the other: not to be called on a thread that serves.
///
/// glibc by itself only shrinks the end of its heap, and there is always somebody living there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: the function takes no pointers and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators see to it themselves, or do not.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
