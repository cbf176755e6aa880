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

/// Has the allocator take back what it keeps at hand for the thread that calls this. Of each size that is seven pieces,
/// and those that a crowd left lie all over its pages: each of them keeps one from the system.
///
/// There is no call for it. When twice as many pieces are taken, and the newest are returned first, those from one place
/// are at hand afterwards, and those from everywhere are not.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn tidy_thread() {
    const SIZES: std::ops::RangeInclusive<usize> = 24..=1_032;
    const STEP: usize = 16;
    const AT_HAND: usize = 7;
    for bytes in SIZES.step_by(STEP) {
        let mut pieces = [std::ptr::null_mut(); 2 * AT_HAND];
        for piece in &mut pieces {
            // SAFETY: any size may be asked for; null is no error here.
            *piece = unsafe { libc::malloc(bytes) };
        }
        // Seen by nobody, or the compiler leaves all of it out.
        for piece in std::hint::black_box(pieces).into_iter().rev() {
            // SAFETY: each is from `malloc`, or null, and freed once.
            unsafe { libc::free(piece) };
        }
    }
}

/// Other allocators keep other things.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn tidy_thread() {}

/// Other allocators see to it themselves, or do not.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
