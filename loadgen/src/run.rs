//! A run from beginning to end: loops on threads of their own, progress while it lasts, a summary when it is over.

mod begin;
mod company;
mod others;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use begin::Begin;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_protocol::Dialect;
use touchstone_protocol::client::{Address, Audience, ClientHalf, Draft, Next, Persona, Stamp, Turn};
use touchstone_protocol::direct::client::DirectClient;
use touchstone_protocol::echo::client::{EchoClient, Persistence};
use touchstone_protocol::feed::client::FeedClient;
use touchstone_protocol::outbox::client::OutboxClient;
use touchstone_protocol::rooms::client::RoomsClient;
use touchstone_sut::Sut;

use crate::cast::{Cast, Casting, Share};
use crate::custom::{CustomClient, Who};
use crate::endpoint::{Endpoint, Places, RunError, find, greet};
use crate::engine::{self, Backstage, Exchange, Job, LoopEvent, LoopReport, Precision};
use crate::ledger::reckon::{CatchUp, Terms};
use crate::limits::{Limits, Need};
use crate::observe::{beside, observe};
use crate::part::Part;
use crate::plan::{Plan, Protocol};
use crate::record::Second;
use crate::summary::{Figures, Gathered, Occasion, Summary};
use crate::watch::{self, LoopUse, Reading};
use company::Company;

/// What a run tells while it lasts. Whoever reads too slowly misses some: a run never waits for its audience.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Users and channels are made, before anybody arrives.
    Casting {
        /// So many are there …
        made: usize,
        /// … of so many.
        of: usize,
    },
    /// A phase begins.
    Phase {
        /// `ramp`, `steady` or `storm`.
        name: &'static str,
        /// The plan's phase of this index …
        index: usize,
        /// … of so many.
        of: usize,
        /// It ends so long after the start.
        ends_at: Duration,
    },
    /// A second is over.
    Second(Figures),
    /// The phases are over; who is on the way back and what is unanswered is waited for.
    Settling,
}

/// Sessions and messages per second that one loop takes before there is a second one. A core carries several times as much.
const SESSIONS_PER_LOOP: u32 = 5_000;
const MESSAGES_PER_LOOP: f64 = 20_000.0;
/// News of the loops that may wait to be put together: half a minute for 32 loops.
const EVENTS_MAX: usize = 1_024;

/// Makes those who take part in a run of several parts, and returns a share for each part; nothing where nobody needs to be made.
///
/// # Errors
/// If somebody could not be made, or the plan cannot be carried out.
pub async fn cast(
    plan: &Plan,
    sut: &Arc<Sut>,
    parts: u32,
    events: &mpsc::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<Option<Vec<Share>>, RunError> {
    let told = |Casting { made, of }| tell(events, Progress::Casting { made, of });
    let made = company::cast(plan, sut, told, stop).await?;
    Ok(made.map(|made| (0..parts).map(|number| made.share(number, parts)).collect()))
}

/// Runs `plan` against `endpoint`. `stop` ends it early, with the full summary of what was measured until then; dropping the
/// future stops it, too.
///
/// # Errors
/// If it could not begin. Once it has begun there is always a summary.
pub async fn run(
    plan: Plan,
    endpoint: Endpoint,
    begin: Begin,
    events: mpsc::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    run_part(plan, Part::whole(), endpoint, begin, events, stop).await
}

/// The same for a part of it: its summary knows only what its own sessions felt, and is to be merged with those of the others.
///
/// # Errors
/// If it could not begin. Once it has begun there is always a summary.
pub async fn run_part(
    plan: Plan,
    part: Part,
    endpoint: Endpoint,
    begin: Begin,
    events: mpsc::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let stopping = stop.clone();
    let set = Stage::set(plan, part, endpoint, begin, events, stop);
    let ready = stopping.run_until_cancelled(Box::pin(set));
    let stage = ready.await.unwrap_or(Err(RunError::Stopped))?;
    match stage.plan.protocol.clone() {
        Protocol::Custom(protocol) => {
            let catch_up = match protocol.reads_back() {
                true => CatchUp::Possible,
                false => CatchUp::Impossible,
            };
            let plan = Arc::clone(&stage.plan);
            let client = move |sender| {
                // The number of a session stands in the lower half of its sender.
                let session = sender as u32;
                let group = plan.groups.of(session);
                let who = Who {
                    sender,
                    group,
                    place: plan.groups.place(session),
                    members: plan.groups.members(group).len() as u32,
                };
                CustomClient::new(Arc::clone(&protocol), Arc::clone(&plan.feeds), who)
            };
            stage.play(client, catch_up).await
        }
        Protocol::Dialect(Dialect::Echo) => {
            let persistence = if stage.plan.keep_messages {
                Persistence::Messages
            } else {
                Persistence::Count
            };
            let client = move |sender| EchoClient::new(sender, persistence);
            stage.play(client, CatchUp::Impossible).await
        }
        Protocol::Dialect(Dialect::Rooms) => {
            let personas = stage.personas()?;
            let client = move |sender| RoomsClient::new(personas.of(sender));
            stage.play(client, CatchUp::Possible).await
        }
        Protocol::Dialect(Dialect::Outbox) => {
            let personas = stage.personas()?;
            let client = move |sender| OutboxClient::new(personas.of(sender));
            stage.play(client, CatchUp::Possible).await
        }
        Protocol::Dialect(Dialect::Feed) => {
            let personas = stage.personas()?;
            let client = move |sender| FeedClient::new(personas.of(sender));
            // Its messages have a history; what it tells a group has none.
            let catch_up = match stage.plan.mix.audience() {
                Some(Audience::Everybody) => CatchUp::Possible,
                Some(Audience::Group | Audience::OthersOfGroup | Audience::Recipient) | None => {
                    CatchUp::Impossible
                }
            };
            stage.play(client, catch_up).await
        }
        Protocol::Dialect(Dialect::Direct) => {
            let personas = stage.personas()?;
            let client = move |sender| DirectClient::new(personas.of(sender));
            stage.play(client, CatchUp::Possible).await
        }
    }
}

/// All that is there before the first session arrives.
struct Stage {
    plan: Arc<Plan>,
    need: Need,
    part: Part,
    endpoint: Endpoint,
    places: Places,
    backstage: Arc<dyn Backstage>,
    /// Of a protocol whose users have to be made.
    cast: Option<Arc<Cast>>,
    begin: Begin,
    events: mpsc::Sender<Progress>,
    stop: CancellationToken,
}

/// Who each sender is to the server.
#[derive(Clone)]
struct Personas(Arc<Cast>);

impl Personas {
    fn of(&self, sender: u64) -> Persona {
        // The number of a session stands in the lower half of its sender.
        self.0.persona(sender as u32)
    }
}

impl Stage {
    async fn set(
        plan: Plan,
        mut part: Part,
        endpoint: Endpoint,
        begin: Begin,
        events: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Self, RunError> {
        let places = find(&plan, &endpoint, &part).await?;
        let told = |Casting { made, of }| tell(&events, Progress::Casting { made, of });
        let share = part.cast.take().map(|share| (share, part.of));
        let Company {
            plan,
            backstage,
            cast,
        } = Company::gather(plan, &endpoint, share, told, &stop).await?;
        Ok(Self {
            need: endpoint.need(&plan, part.of),
            plan: Arc::new(plan),
            part,
            endpoint,
            places,
            backstage,
            cast,
            begin,
            events,
            stop,
        })
    }

    fn personas(&self) -> Result<Personas, RunError> {
        match &self.cast {
            Some(cast) => Ok(Personas(Arc::clone(cast))),
            None => Err(RunError::Url {
                url: self.endpoint.name.clone(),
                why: "it is not known how its users come to be",
            }),
        }
    }

    /// Plays it with clients that are made so, one for each sender.
    async fn play<C: ClientHalf + 'static>(
        mut self,
        client: impl Fn(u64) -> C + Clone + Send + 'static,
        catch_up: CatchUp,
    ) -> Result<Summary, RunError> {
        let Part {
            run: tag,
            number: part,
            of: parts,
            ..
        } = self.part;
        let loops = loops(&self.plan, parts);
        self.has_back_door(client(u64::from(tag) << 32 | u64::from(part)))?;
        let greeting = self.greet(client(u64::from(tag) << 32 | u64::from(part)));
        let greeted = self.stop.run_until_cancelled(greeting).await;
        greeted.unwrap_or(Err(RunError::Stopped))?;
        let begun = self.stop.run_until_cancelled(self.begin.wait()).await;
        let (started_at, start) = begun.flatten().ok_or(RunError::Stopped)?;
        let before = Reading::start();
        let (to_reader, from_loops) = mpsc::channel(EVENTS_MAX);
        // Cancelled when `stop` is, and when this future is dropped or fails: no loop outlives its run for long.
        let halt = self.stop.child_token();
        let _halt_when_dropped = halt.clone().drop_guard();
        let others = self.part.others.take();
        let exchange = Arc::new(match others {
            Some(_) => Exchange::with_others(loops),
            None => Exchange::new(loops),
        });
        let mut threads = Vec::new();
        for number in 0..loops {
            let job = Job {
                plan: Arc::clone(&self.plan),
                nodes: Arc::clone(&self.places.nodes),
                tag,
                number: number * parts + part,
                loops: loops * parts,
                start,
                precision: Precision::Finest,
                acts: self.plan.protocol.acts().into(),
                backstage: Arc::clone(&self.backstage),
                catch_up,
                exchange: Arc::clone(&exchange),
            };
            let sockets = self.places.sockets.clone();
            let (client, events, halt) = (client.clone(), to_reader.clone(), halt.clone());
            threads.push(spawn_loop(number, move |runtime| {
                runtime.block_on(engine::run_loop(job, sockets, client, events, halt))
            })?);
        }
        drop(to_reader);
        let mut seen = Vec::new();
        let mut series = tokio::select! {
            series = follow(&self.plan, (loops, parts), from_loops, &self.events) => series,
            never = others::exchange(others, &exchange) => match never {},
            never = observe(self.endpoint.look, self.endpoint.sut.as_ref(), start, &mut seen) => match never {},
        };
        beside(&mut series, &seen);
        let (mut reports, mut uses) = (Vec::new(), Vec::new());
        for thread in threads {
            // Every loop has said that it is over: this waits for nothing.
            let ended = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (report, used) = ended.expect("a loop without a runtime ends the run before it begins");
            reports.push(report);
            uses.push(used);
        }
        let after = Reading::now();
        let terms = Terms {
            deadline: self.plan.deadline,
            catch_up,
        };
        let gathered = Gathered::of(u64::from(tag), terms, reports);
        let most = series.iter().map(|figures| u64::from(figures.connected)).max();
        let taken = self
            .need
            .taken(&before, most.unwrap_or_default(), &Limits::of_this_process());
        let generator = watch::judge(&before, &after, &uses, &gathered.recorder, taken);
        let occasion = Occasion {
            target: self.endpoint.name,
            started_at,
            duration: start.elapsed(),
        };
        Ok(Summary::new(&self.plan, occasion, gathered, generator, series))
    }
}

impl Stage {
    /// Makes sure that the target can be made to emit, where an act of the mix wants it to.
    fn has_back_door(&self, mut first: impl ClientHalf) -> Result<(), RunError> {
        let mut draft = Draft::default();
        for act in self.plan.mix.acts() {
            let turn = Turn {
                act: act as usize,
                stamp: Stamp::default(),
                content_bytes: 0,
                recipient: 0,
            };
            if let Next::Inject { kind, data } = first.act(turn, &mut draft) {
                let injection = self.backstage.injection(self.part.number, kind, data);
                injection.map_err(|why| RunError::NoBackDoor {
                    act: self.plan.protocol.acts()[act as usize].name.to_string(),
                    why,
                })?;
            }
        }
        Ok(())
    }

    /// Makes sure that somebody is there; where there are tokens, as the first session will come.
    async fn greet(&self, mut first: impl ClientHalf) -> Result<(), RunError> {
        let address = match self.backstage.token(self.part.number) {
            // A path of one's own may have segments without which nobody is let in.
            None => match self.plan.protocol {
                Protocol::Dialect(_) => Address::default(),
                Protocol::Custom(_) => first.address(),
            },
            Some(coming) => {
                let token = coming.await.map_err(|why| RunError::Unreachable {
                    url: self.endpoint.name.clone(),
                    why,
                })?;
                first.new_token(&token);
                first.address()
            }
        };
        greet(&self.places, &self.endpoint, &address, &self.plan).await
    }
}

type LoopThread = std::thread::JoinHandle<Option<(LoopReport, LoopUse)>>;

/// `None` is the end of a thread whose error was told here.
fn spawn_loop(
    number: u32,
    run: impl FnOnce(&LocalRuntime) -> LoopReport + Send + 'static,
) -> Result<LoopThread, RunError> {
    let (told, begun) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("load-{number}"))
        .spawn(move || {
            // Made here, for it never leaves its thread: so nothing of it has to be locked.
            let made = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            let (runtime, made) = match made {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            told.send(made).expect("the caller waits for it");
            let begun = Instant::now();
            let report = run(&runtime?);
            let used = LoopUse {
                cpu: watch::thread_cpu(),
                wall: begun.elapsed(),
            };
            Some((report, used))
        })?;
    // As long as it takes to make three descriptors.
    begun.recv().expect("the thread tells before it ends")?;
    Ok(thread)
}

/// As many as there is work for in one of `parts`, at most one per core.
fn loops(plan: &Plan, parts: u32) -> u32 {
    let rate = plan.rate() / f64::from(parts);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = plan
        .sessions
        .div_ceil(parts)
        .div_ceil(SESSIONS_PER_LOOP)
        .max((rate / MESSAGES_PER_LOOP).ceil() as u32);
    wanted.clamp(1, u32::try_from(cores).unwrap_or(u32::MAX))
}

/// Puts the seconds of all loops together and tells the audience, until every loop is over. Loops are numbered over all parts.
async fn follow(
    plan: &Plan,
    (loops, parts): (u32, u32),
    mut from_loops: mpsc::Receiver<LoopEvent>,
    audience: &mpsc::Sender<Progress>,
) -> Vec<Figures> {
    let mut seconds = Seconds::new(loops);
    let mut series = Vec::new();
    while let Some(event) = from_loops.recv().await {
        let news = match event {
            LoopEvent::Second { number, second } => {
                seconds.add(number / parts, second);
                seconds.finished()
            }
            LoopEvent::Over(number) => {
                seconds.over(number / parts);
                seconds.finished()
            }
            LoopEvent::Phase(index) => {
                let phase = &plan.phases[index];
                let ends_at = Duration::from_nanos(phase.end);
                tell(
                    audience,
                    Progress::Phase {
                        name: phase.name,
                        index,
                        of: plan.phases.len(),
                        ends_at,
                    },
                );
                continue;
            }
            LoopEvent::Settling => {
                tell(audience, Progress::Settling);
                continue;
            }
        };
        for figures in news {
            tell(audience, Progress::Second(figures.clone()));
            series.push(figures);
        }
    }
    series
}

fn tell(audience: &mpsc::Sender<Progress>, progress: Progress) {
    // Full or gone: documented at `Progress`.
    let _missed = audience.try_send(progress);
}

/// Seconds that not all loops have told of yet.
struct Seconds {
    /// The next second of each loop; `None` when it is over.
    next: Vec<Option<u32>>,
    waiting: BTreeMap<u32, Second>,
}

impl Seconds {
    fn new(loops: u32) -> Self {
        Self {
            next: vec![Some(0); loops as usize],
            waiting: BTreeMap::new(),
        }
    }

    fn add(&mut self, number: u32, second: Second) {
        self.next[number as usize] = Some(second.number + 1);
        match self.waiting.get_mut(&second.number) {
            Some(known) => known.merge(&second),
            None => {
                self.waiting.insert(second.number, second);
            }
        }
    }

    fn over(&mut self, number: u32) {
        self.next[number as usize] = None;
    }

    /// The seconds that every loop has told of, or will tell no more of.
    fn finished(&mut self) -> Vec<Figures> {
        let until = self.next.iter().flatten().copied().min().unwrap_or(u32::MAX);
        let unfinished = self.waiting.split_off(&until);
        std::mem::replace(&mut self.waiting, unfinished)
            .values()
            .map(Figures::from)
            .collect()
    }
}

#[cfg(test)]
mod tests;
