//! Memory that a crowd leaves behind goes back to the system.

/// Blocks this large come from the system and go back to it when they are dropped: what a password takes while it is hashed,
/// or a long body.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 4 << 20;

/// Has the allocator treat large blocks the same for ever. glibc by itself raises the limit to the largest that was ever
/// dropped, and then keeps some for each thread: after a flood of logins 1 GiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_nothing_large() {
    // SAFETY: the function takes no pointers and may be called from any thread at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}

/// Other allocators see to it themselves, or do not.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_nothing_large() {}

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
