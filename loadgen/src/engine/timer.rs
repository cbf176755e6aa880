//! Waits for an instant, as exactly as the system can.
//!
//! A runtime's timers fall on whole milliseconds and fire up to two late: more than a fast server takes to answer, and
//! all of it would be charged to the server. On Linux a timer descriptor fires within tens of microseconds, for one
//! system call per wait.

use tokio::time::Instant;

/// How sends are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// As exactly as the system can.
    Finest,
    /// By the runtime, to the millisecond. Follows virtual time.
    #[cfg(test)]
    Milliseconds,
}

/// One loop's timer; one wait at a time.
#[derive(Debug)]
pub(crate) enum Timer {
    /// A descriptor of the system's.
    #[cfg(target_os = "linux")]
    Descriptor(descriptor::Timer),
    /// The runtime's.
    Runtime,
}

impl Timer {
    /// Must be called on the loop's own runtime. Where the system refuses a descriptor the runtime's timers do, and the send lag
    /// in the report shows it.
    pub(crate) fn new(precision: Precision) -> Self {
        match precision {
            #[cfg(target_os = "linux")]
            Precision::Finest => descriptor::Timer::new().map_or(Self::Runtime, Self::Descriptor),
            #[cfg(not(target_os = "linux"))]
            Precision::Finest => Self::Runtime,
            #[cfg(test)]
            Precision::Milliseconds => Self::Runtime,
        }
    }

    /// Ends at `at`, or soon after; at once if that is past.
    pub(crate) async fn until(&self, at: Instant) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(timer) => timer.until(at).await,
            Self::Runtime => tokio::time::sleep_until(at).await,
        }
    }
}

#[cfg(target_os = "linux")]
mod descriptor {
    use std::io;
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::time::Duration;

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::time::Instant;

    #[derive(Debug)]
    pub(crate) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
            // SAFETY: takes no pointers.
            let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new, open, and nobody else's.
            let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // SAFETY: an `OwnedFd` owns its descriptor and always names the same one.
            let registered = unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE) };
            registered.map(Self).map_err(io::Error::from)
        }

        pub(super) async fn until(&self, at: Instant) {
            loop {
                let left = at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                // Both fail only if the descriptor is not a timer or the runtime is gone; then the runtime's timers are what is left.
                if self.arm(left).is_err() {
                    return tokio::time::sleep_until(at).await;
                }
                match self.0.readable().await {
                    // Edge-triggered, and arming anew resets the descriptor: it need not be read.
                    Ok(mut fired) => fired.clear_ready(),
                    Err(_) => return tokio::time::sleep_until(at).await,
                }
            }
        }

        fn arm(&self, left: Duration) -> io::Result<()> {
            let zero = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let value = libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let spec = libc::itimerspec {
                it_interval: zero,
                it_value: value,
            };
            // SAFETY: the kernel only reads the struct; it may have none to write the old setting to.
            let set = unsafe {
                libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut())
            };
            if set < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_wait_ends_before_its_instant_and_each_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let timer = Timer::new(Precision::Finest);
            for microseconds in [0, 1, 300, 2_000, 1, 700] {
                let at = Instant::now() + Duration::from_micros(microseconds);
                timer.until(at).await;
                assert!(Instant::now() >= at);
            }
            timer.until(Instant::now() - Duration::from_secs(1)).await;
        });
    }

    #[test]
    fn a_wait_that_was_given_up_does_not_disturb_the_next() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let timer = Timer::new(Precision::Finest);
            let begun = Instant::now();
            tokio::select! {
                biased;
                () = timer.until(begun + Duration::from_micros(100)) => {}
                () = async { while begun.elapsed() < Duration::from_millis(1) { tokio::task::yield_now().await } } => {}
            }
            let at = Instant::now() + Duration::from_millis(3);
            timer.until(at).await;
            assert!(Instant::now() >= at);
        });
    }
}
