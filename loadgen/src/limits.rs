//! Whether a run fits this machine, known before it begins: descriptors of each process, ports of all together.
//!
//! Who is refused is told what would help, and nothing that would not: more processes have more descriptors, but no more
//! ports, and the built-in server stays one process.

use crate::plan::Population;
use crate::watch::{self, Part, Reading, Taken};

/// Descriptors beside those of the sessions: standard streams, event loops, timers, requests, the caller's own.
const DESCRIPTORS_SPARE: u64 = 64;
/// As many processes as `--processes` takes.
const PROCESSES_MAX: u64 = 256;

/// What a run needs of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) sessions: u64,
    pub(crate) population: Population,
    /// Over which the sessions are divided.
    pub(crate) processes: u64,
    /// Of the target.
    pub(crate) nodes: u64,
    /// From which connections come.
    pub(crate) addresses: u64,
    pub(crate) server: Server,
}

/// Who serves, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// One process of this machine, with the same limit as ours.
    BuiltIn,
    /// Nothing is known of its limits.
    Elsewhere,
}

/// What this machine allows; `None` where there is no such limit or nobody tells.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// The soft limit, and the hard one to which it can be raised without anybody's leave.
    pub(crate) descriptors: Option<(u64, u64)>,
    pub(crate) ports: Option<u64>,
}

/// What there is too little of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotFit {
    /// Each process has one for each of its sessions.
    #[error("{needed} descriptors are needed{}, but this process may open {allowed}: {remedy}", in_each(*processes))]
    Descriptors {
        /// One per session of a process, and some to spare.
        needed: u64,
        /// The soft limit.
        allowed: u64,
        /// Over so many the run is divided.
        processes: u64,
        /// What would help.
        remedy: String,
    },
    /// The built-in server has one for each session.
    #[error(
        "the built-in server needs {needed} descriptors, one for each session, but may open {allowed} \
         (--processes divides the sessions, not the server): {remedy}"
    )]
    ServerDescriptors {
        /// One per session, and some to spare.
        needed: u64,
        /// The soft limit.
        allowed: u64,
        /// What would help.
        remedy: String,
    },
    /// All processes share the ports of an address.
    #[error(
        "{needed} local ports are needed per node of the target{}, but this machine gives {allowed} to {addresses} of its \
         addresses (net.ipv4.ip_local_port_range): {remedy}",
        together(*processes)
    )]
    Ports {
        /// Sessions at one node.
        needed: u64,
        /// Ports of the range, for each address.
        allowed: u64,
        /// Addresses that the run comes from.
        addresses: u64,
        /// Over so many the run is divided.
        processes: u64,
        /// What would help.
        remedy: String,
    },
}

fn in_each(processes: u64) -> &'static str {
    if processes > 1 { " in each process" } else { "" }
}

fn together(processes: u64) -> &'static str {
    if processes > 1 {
        " by all processes together"
    } else {
        ""
    }
}

impl Limits {
    pub(crate) fn of_this_process() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        Self {
            descriptors: watch::descriptor_limit(),
            ports: range.and_then(|range| ports(&range)),
        }
    }
}

/// Two numbers with a tab between, both ends included.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

impl Need {
    /// # Errors
    /// If there is too little of something.
    pub(crate) fn fits(&self, limits: &Limits) -> Result<(), DoesNotFit> {
        if let Some((soft, hard)) = limits.descriptors {
            self.descriptors(soft, hard)?;
        }
        let needed = self.sessions.div_ceil(self.nodes);
        match limits.ports {
            Some(allowed) if allowed * self.addresses < needed => {
                let enough = needed.div_ceil(allowed.max(1));
                let fewer = self.fewer(allowed * self.addresses * self.nodes);
                Err(DoesNotFit::Ports {
                    needed,
                    allowed,
                    addresses: self.addresses,
                    processes: self.processes,
                    remedy: format!(
                        "come from {enough} addresses (`--source 127.0.0.2-127.0.0.9`), widen the range or {fewer}"
                    ),
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What so many connections of one process took, by what it had open before; the other processes are taken for like it.
    pub(crate) fn taken(&self, before: &Reading, connected: u64, limits: &Limits) -> Taken {
        let descriptors = before.descriptors().zip(limits.descriptors);
        Taken {
            descriptors: descriptors.map(|(open, (soft, _))| Part {
                taken: open + connected,
                of: soft,
            }),
            ports: limits.ports.map(|ports| Part {
                taken: (connected * self.processes).div_ceil(self.nodes),
                of: ports * self.addresses,
            }),
        }
    }

    fn descriptors(&self, soft: u64, hard: u64) -> Result<(), DoesNotFit> {
        let each = soft.saturating_sub(DESCRIPTORS_SPARE);
        let raise = |needed: u64| {
            if needed <= hard {
                format!("raise the limit (`ulimit -n {needed}`)")
            } else {
                format!("have the hard limit raised (`ulimit -Hn {needed}`, which takes privileges)")
            }
        };
        // Of both it is told what the whole run needs: more processes would only bring the server's limit to light.
        let needed = self.sessions + DESCRIPTORS_SPARE;
        if self.server == Server::BuiltIn && needed > soft {
            let (raise, fewer) = (raise(needed), self.fewer(each));
            return Err(DoesNotFit::ServerDescriptors {
                needed,
                allowed: soft,
                remedy: format!(
                    "{raise}, start several servers and name them in a --target file, or {fewer}"
                ),
            });
        }
        let needed = self.sessions.div_ceil(self.processes) + DESCRIPTORS_SPARE;
        if needed <= soft {
            return Ok(());
        }
        let enough = (each > 0).then(|| self.sessions.div_ceil(each));
        let divide = match enough.filter(|enough| *enough <= PROCESSES_MAX) {
            Some(enough) => format!(", divide the run (`--processes {enough}`)"),
            None => String::new(),
        };
        let (raise, fewer) = (raise(needed), self.fewer(each * self.processes));
        Err(DoesNotFit::Descriptors {
            needed,
            allowed: soft,
            processes: self.processes,
            remedy: format!("{raise}{divide} or {fewer}"),
        })
    }

    /// How to have no more than `fitting` sessions.
    fn fewer(&self, fitting: u64) -> String {
        match self.population {
            Population::Counted => format!("run fewer sessions (`--set sessions={fitting}`)"),
            Population::Arriving => format!(
                "let fewer arrive (`--set arrivals.rate=`): {fitting} of {} fit",
                self.sessions
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        sessions: 2_000,
        population: Population::Counted,
        processes: 1,
        nodes: 1,
        addresses: 1,
        server: Server::Elsewhere,
    };

    fn descriptors(soft: u64, hard: u64) -> Limits {
        Limits {
            descriptors: Some((soft, hard)),
            ports: None,
        }
    }

    fn ports_of(ports: u64) -> Limits {
        Limits {
            descriptors: None,
            ports: Some(ports),
        }
    }

    #[test]
    fn what_fits_is_let_through() {
        let rows = [
            (
                NEED,
                Limits {
                    descriptors: Some((2_064, 2_064)),
                    ports: Some(2_000),
                },
            ),
            (NEED, Limits::default()),
            (
                Need {
                    server: Server::BuiltIn,
                    ..NEED
                },
                descriptors(2_064, 2_064),
            ),
            (Need { processes: 2, ..NEED }, descriptors(1_064, 1_064)),
            (
                Need {
                    sessions: 50_000,
                    nodes: 2,
                    ..NEED
                },
                ports_of(28_232),
            ),
            (
                Need {
                    sessions: 50_000,
                    addresses: 2,
                    ..NEED
                },
                ports_of(28_232),
            ),
        ];
        for (need, limits) in rows {
            assert_eq!(need.fits(&limits), Ok(()), "{need:?} {limits:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_what_would_help_and_nothing_else() {
        let rows = [
            (
                NEED,
                descriptors(1_024, 4_096),
                "2064 descriptors are needed, but this process may open 1024: raise the limit (`ulimit -n 2064`), \
                 divide the run (`--processes 3`) or run fewer sessions (`--set sessions=960`)",
            ),
            (
                Need { processes: 2, ..NEED },
                descriptors(1_024, 1_024),
                "1064 descriptors are needed in each process, but this process may open 1024: have the hard limit raised \
                 (`ulimit -Hn 1064`, which takes privileges), divide the run (`--processes 3`) or run fewer sessions \
                 (`--set sessions=1920`)",
            ),
            (
                Need {
                    population: Population::Arriving,
                    ..NEED
                },
                descriptors(64, 4_096),
                "2064 descriptors are needed, but this process may open 64: raise the limit (`ulimit -n 2064`) or let fewer \
                 arrive (`--set arrivals.rate=`): 0 of 2000 fit",
            ),
            (
                Need {
                    processes: 3,
                    server: Server::BuiltIn,
                    ..NEED
                },
                descriptors(1_024, 1_024),
                "the built-in server needs 2064 descriptors, one for each session, but may open 1024 (--processes divides \
                 the sessions, not the server): have the hard limit raised (`ulimit -Hn 2064`, which takes privileges), \
                 start several servers and name them in a --target file, or run fewer sessions (`--set sessions=960`)",
            ),
            (
                Need {
                    sessions: 100_000,
                    nodes: 2,
                    ..NEED
                },
                ports_of(28_232),
                "50000 local ports are needed per node of the target, but this machine gives 28232 to 1 of its addresses \
                 (net.ipv4.ip_local_port_range): come from 2 addresses (`--source 127.0.0.2-127.0.0.9`), widen the range or \
                 run fewer sessions (`--set sessions=56464`)",
            ),
            (
                Need {
                    sessions: 30_000,
                    processes: 3,
                    ..NEED
                },
                ports_of(28_232),
                "30000 local ports are needed per node of the target by all processes together, but this machine gives 28232 \
                 to 1 of its addresses (net.ipv4.ip_local_port_range): come from 2 addresses (`--source \
                 127.0.0.2-127.0.0.9`), widen the range or run fewer sessions (`--set sessions=28232`)",
            ),
        ];
        for (need, limits, message) in rows {
            assert_eq!(need.fits(&limits).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_range_of_ports_is_read() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("nonsense"), None);
    }
}
