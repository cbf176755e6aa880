//! Who comes to the hall: its client half, and the desk where guests get their tokens.

use std::time::Duration;

use touchstone_protocol::client::{
    Act, Address, Asked, Audience, Backoff, Beat, ClientHalf, Comeback, Draft, Effect, Growth, Heard, Next,
    OfflineQueue, Persona, Request, Stamp, Turn, Way,
};

use crate::engine::backstage::{Backstage, Emitting, TokenComing};

/// What users of the hall can do, in the order of `rooms`, whose names their workloads use.
pub(crate) const ACTS: &[Act] = &[
    SAYING,
    Act::new("typing", Effect::Nothing),
    Act::new(
        "read",
        Effect::Delivery {
            audience: Audience::OthersOfGroup,
        },
    ),
    Act::new("history", Effect::Reply),
];

/// The same, and who shrugs is shrugged at: one act that is delivered, and one that is answered.
pub(crate) const ACTS_THAT_ARE_ANSWERED: &[Act] = &[SAYING, Act::new("typing", Effect::Answer)];

const SAYING: Act = Act::new(
    "say",
    Effect::Delivery {
        audience: Audience::OthersOfGroup,
    },
);

const SAY: usize = 0;
const POST: usize = 2;
const ASK: usize = 3;

/// A user of the hall.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) persona: Persona,
    pub(crate) beat: Option<Duration>,
    pub(crate) queue: Option<OfflineQueue>,
}

impl Guest {
    pub(super) fn stamp_of(content: &str) -> Stamp {
        Stamp::read(content).expect("the hall only knows contents of guests")
    }
}

impl ClientHalf for Guest {
    fn address(&self) -> Address {
        let Persona {
            id, token, channel, ..
        } = &self.persona;
        Address {
            segments: vec![channel.clone()],
            query: format!("?id={id}&token={token}"),
            headers: Vec::new(),
        }
    }

    fn greeting(&mut self, say: &mut dyn FnMut(&str)) {
        say("hello");
    }

    fn act<'a>(&mut self, turn: Turn, draft: &'a mut Draft) -> Next<'a> {
        draft.body.clear();
        match turn.act {
            SAY => {
                draft.body.push_str("say ");
                turn.stamp.write(turn.content_bytes, &mut draft.body);
                Next::Send(&draft.body)
            }
            ASK => Next::Send("ask"),
            POST => {
                turn.stamp.write(turn.content_bytes, &mut draft.body);
                draft.path = format!("/say/{}?id={}", self.persona.channel, self.persona.id);
                Next::Request(Request {
                    method: "POST",
                    path: &draft.path,
                    headers: &[],
                    body: &draft.body,
                })
            }
            _ => {
                draft.body.push_str("shrug ");
                turn.stamp.write(turn.content_bytes, &mut draft.body);
                Next::Send(&draft.body)
            }
        }
    }

    fn hear<'a>(&mut self, text: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        tell(match word {
            "ready" => Heard::Ready,
            "confirmed" => Heard::Confirmed {
                stamp: Self::stamp_of(rest),
            },
            "delivered" => Heard::Delivery {
                stamp: Self::stamp_of(rest),
                by: Way::Live,
            },
            "reply" => Heard::Reply { act: ASK },
            "shrugged" => Heard::Answer {
                stamp: Self::stamp_of(rest),
                count: None,
            },
            "alive" => Heard::Heartbeat { reply: None },
            "are-you-there" => Heard::Heartbeat {
                reply: Some("yes".into()),
            },
            "no" => Heard::Refused,
            _ => Heard::Unknown,
        });
    }

    fn answered<'a>(&mut self, asked: Asked, status: u16, body: &'a str, tell: &mut impl FnMut(Heard<'a>)) {
        match asked {
            Asked::Act { stamp, .. } if status == 201 => tell(Heard::Confirmed { stamp }),
            Asked::CatchUp if status == 200 => {
                let own = &self.persona.id;
                let others = body.lines().filter_map(|line| line.split_once(' '));
                for (_, content) in others.filter(|(author, _)| author != own) {
                    tell(Heard::Delivery {
                        stamp: Self::stamp_of(content),
                        by: Way::CaughtUp,
                    });
                }
            }
            Asked::Act { .. } | Asked::CatchUp => tell(Heard::Refused),
        }
    }

    fn catch_up<'a>(&mut self, step: u32, draft: &'a mut Draft) -> Next<'a> {
        if step > 0 {
            return Next::Nothing;
        }
        draft.path = format!("/history/{}", self.persona.channel);
        Next::Request(Request {
            method: "GET",
            path: &draft.path,
            headers: &[],
            body: "",
        })
    }

    fn beat(&self) -> Option<Beat<'_>> {
        self.beat.map(|interval| Beat {
            interval,
            text: "beat",
        })
    }

    fn offline_queue(&self) -> Option<OfflineQueue> {
        self.queue
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            growth: Growth::Percent(200),
            max: Duration::from_secs(4),
            attempts_max: Some(3),
        }
    }

    fn comeback(&self, code: Option<u16>) -> Comeback {
        match code {
            Some(4000) => Comeback::Never,
            Some(4001) => Comeback::WithNewToken,
            Some(_) | None => Comeback::Again,
        }
    }

    fn new_token(&mut self, token: &str) {
        token.clone_into(&mut self.persona.token);
    }
}

/// Gives out the tokens `1`, `2`, `3` … after a time, to each session its own.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    takes: Duration,
    given: std::sync::Mutex<std::collections::HashMap<u32, u32>>,
}

impl Desk {
    pub(crate) fn with(takes: Duration) -> Self {
        Self {
            takes,
            ..Self::default()
        }
    }

    pub(crate) fn given(&self) -> u32 {
        self.given.lock().unwrap().values().sum()
    }
}

impl Backstage for Desk {
    fn token(&self, session: u32) -> Option<TokenComing<'_>> {
        Some(Box::pin(async move {
            tokio::time::sleep(self.takes).await;
            let mut given = self.given.lock().unwrap();
            let count = given.entry(session).or_default();
            *count += 1;
            Ok(count.to_string())
        }))
    }

    fn path(&self, documented: &str) -> String {
        format!("/v2{documented}")
    }

    fn injection(&self, _session: u32, _kind: &str, _data: &str) -> Result<Emitting, String> {
        Err("the hall has no back door".to_owned())
    }
}
