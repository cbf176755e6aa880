//! Which sockets have something to read: one descriptor for all the sessions of a loop.
//!
//! The runtime could tell, too, and wakes a task for each socket. But a session is cold when its answer comes, and so are its
//! task, its waker and the runtime's own note of the socket: five more lines of memory to wait for, a sixth of all that a
//! message costs at 5,000 sessions. The descriptor hands out a session's place, and nothing else is touched.

use std::io;
use std::net::TcpStream;

use super::timer::Precision;

/// What the system tells of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// There is something to read, or space to write again.
    Ready,
    /// The same, and the other side has ended or broken the connection: behind what can be read comes its end.
    Ending,
}

/// What may still have to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Perhaps,
    Nothing,
}

/// One loop's sockets, as far as they are plain ones of this system.
#[derive(Debug)]
pub(crate) enum Lookout {
    /// A descriptor of the system's.
    #[cfg(target_os = "linux")]
    Descriptor(descriptor::Lookout),
    /// The runtime tells whoever reads.
    Runtime,
}

impl Lookout {
    /// Must be called on the loop's own runtime. Where the system refuses a descriptor the runtime does, for more CPU time.
    pub(super) fn new(precision: Precision) -> Self {
        match precision {
            #[cfg(target_os = "linux")]
            Precision::Finest => descriptor::Lookout::new().map_or(Self::Runtime, Self::Descriptor),
            #[cfg(not(target_os = "linux"))]
            Precision::Finest => Self::Runtime,
            #[cfg(test)]
            Precision::Milliseconds => Self::Runtime,
        }
    }

    /// Whether [`add`](Self::add) can be used.
    pub(super) fn watches(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(_) => true,
            Self::Runtime => false,
        }
    }

    /// Tells of `socket`, which does not block, by `slot` from now on, until it is closed; at once if there is something to
    /// read already.
    ///
    /// # Errors
    /// If the system watches no more, or nobody does here.
    pub(super) fn add(&self, socket: &TcpStream, slot: usize) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(lookout) => lookout.add(socket, slot),
            Self::Runtime => {
                let _ = (socket, slot);
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// Tells `hear` what there is to tell now, a batch at most; `expect` hears of each place a little before. Each news is told
    /// once.
    pub(super) fn sweep(&self, expect: impl Fn(usize), hear: impl FnMut(usize, Told)) -> More {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(lookout) => lookout.sweep(expect, hear),
            Self::Runtime => {
                drop((expect, hear));
                More::Nothing
            }
        }
    }

    /// Ends when there is something to tell; never where the runtime tells it.
    pub(super) async fn news(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(lookout) => lookout.news().await,
            Self::Runtime => std::future::pending().await,
        }
    }
}

#[cfg(target_os = "linux")]
mod descriptor {
    use std::cell::RefCell;
    use std::io;
    use std::net::TcpStream;
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{More, Told};

    /// What one sweep hears at most before somebody else has his turn.
    const EVENTS_MAX: usize = 256;

    /// An epoll descriptor that the runtime watches in its turn.
    pub(crate) struct Lookout {
        descriptor: AsyncFd<OwnedFd>,
        events: RefCell<Box<[libc::epoll_event]>>,
    }

    impl std::fmt::Debug for Lookout {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_tuple("Lookout").field(&self.descriptor).finish()
        }
    }

    impl Lookout {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: takes no pointers.
            let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new, open, and nobody else's.
            let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // SAFETY: an `OwnedFd` owns its descriptor and always names the same one.
            let registered = unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE) };
            Ok(Self {
                descriptor: registered.map_err(io::Error::from)?,
                events: RefCell::new(vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX].into()),
            })
        }

        /// Edge-triggered: what was told is not asked again.
        pub(super) fn add(&self, socket: &TcpStream, slot: usize) -> io::Result<()> {
            let wanted = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
            let mut event = libc::epoll_event {
                events: wanted as u32,
                u64: slot as u64,
            };
            let (own, its) = (self.descriptor.as_raw_fd(), socket.as_raw_fd());
            // SAFETY: both descriptors are open as long as they are borrowed, and the kernel only reads the event.
            let added = unsafe { libc::epoll_ctl(own, libc::EPOLL_CTL_ADD, its, &raw mut event) };
            if added < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        }

        pub(super) fn sweep(&self, expect: impl Fn(usize), mut hear: impl FnMut(usize, Told)) -> More {
            let mut events = self.events.borrow_mut();
            let own = self.descriptor.as_raw_fd();
            // SAFETY: the descriptor is open, and there is room for as many events as is said.
            let told = unsafe { libc::epoll_wait(own, events.as_mut_ptr(), EVENTS_MAX as libc::c_int, 0) };
            // It fails on nothing that this can be: an open descriptor and room for events. Who is not told now is told by the next sweep.
            let told = usize::try_from(told).unwrap_or(0);
            let slot = |event: &libc::epoll_event| usize::try_from(event.u64).expect("a slot was a usize");
            let mut coming = events[..told].iter();
            coming.next().map(slot).inspect(|first| expect(*first));
            for event in &events[..told] {
                coming.next().map(slot).inspect(|next| expect(*next));
                let ending = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
                let told = if event.events & ending as u32 == 0 {
                    Told::Ready
                } else {
                    Told::Ending
                };
                hear(slot(event), told);
            }
            if told == EVENTS_MAX {
                More::Perhaps
            } else {
                More::Nothing
            }
        }

        pub(super) async fn news(&self) {
            match self.descriptor.readable().await {
                // Whatever comes after this is told anew.
                Ok(mut readable) => readable.clear_ready(),
                // The runtime is gone, and with it everything that would read.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    /// What is told until nothing more is.
    async fn told(lookout: &Lookout, wanted: usize) -> Vec<(usize, Told)> {
        let mut told = Vec::new();
        while told.len() < wanted {
            lookout.news().await;
            lookout.sweep(|_| {}, |slot, news| told.push((slot, news)));
        }
        told.sort_by_key(|(slot, _)| *slot);
        told
    }

    #[tokio::test]
    async fn each_is_told_of_its_own_and_of_each_news_once() {
        let lookout = Lookout::new(Precision::Finest);
        let (mut first, mut their_first) = pair();
        let (second, mut their_second) = pair();
        lookout.add(&first, 7).unwrap();
        lookout.add(&second, 9).unwrap();
        // At first each is told that it can be written to.
        assert_eq!(told(&lookout, 2).await, [(7, Told::Ready), (9, Told::Ready)]);
        their_first.write_all(b"abc").unwrap();
        assert_eq!(told(&lookout, 1).await, [(7, Told::Ready)]);
        let mut again = Vec::new();
        lookout.sweep(|_| {}, |slot, _| again.push(slot));
        assert_eq!(again, [] as [usize; 0], "it was told, though nobody has read it");
        assert_eq!(first.read(&mut [0; 8]).unwrap(), 3);
        their_second.write_all(b"last words").unwrap();
        drop(their_second);
        let both = told(&lookout, 1).await;
        assert_eq!(both.last(), Some(&(9, Told::Ending)));
        drop(second);
        their_first.write_all(b"d").unwrap();
        assert_eq!(told(&lookout, 1).await, [(7, Told::Ready)]);
    }

    #[test]
    fn where_the_runtime_tells_nothing_is_watched() {
        let lookout = Lookout::new(Precision::Milliseconds);
        assert!(!lookout.watches());
        assert!(lookout.add(&pair().0, 0).is_err());
        assert_eq!(lookout.sweep(|_| {}, |_, _| unreachable!()), More::Nothing);
    }
}
