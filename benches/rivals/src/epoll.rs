//! epoll(7), as far as the bare ones need it.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

const EVENTS: usize = 256;

pub struct Epoll(RawFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes a flag and returns a descriptor, or -1.
        match unsafe { libc::epoll_create1(0) } {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(Self(descriptor)),
        }
    }

    pub fn events() -> [libc::epoll_event; EVENTS] {
        [libc::epoll_event { events: 0, u64: 0 }; EVENTS]
    }

    /// Tells of what can be read from `socket` by `name`.
    pub fn add(&self, socket: RawFd, name: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLRDHUP) as u32,
            u64: name,
        };
        // SAFETY: both descriptors are open, and the event outlives the call.
        match unsafe { libc::epoll_ctl(self.0, libc::EPOLL_CTL_ADD, socket, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for events, at most so long; `None` for ever. A wait that a signal ended has none.
    pub fn wait(&self, events: &mut [libc::epoll_event], most: Option<Duration>) -> io::Result<usize> {
        let most = most.map(|most| libc::timespec {
            tv_sec: most.as_secs() as libc::time_t,
            tv_nsec: most.subsec_nanos().into(),
        });
        let timeout = most.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the slice is valid for as many events as are said to fit, and the timeout lives until the call returns.
        let ready = unsafe {
            libc::epoll_pwait2(
                self.0,
                events.as_mut_ptr(),
                events.len() as i32,
                timeout,
                std::ptr::null(),
            )
        };
        match usize::try_from(ready) {
            Ok(ready) => Ok(ready),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}
