//! How a rules file is read: what is written there, and what may be wrong with it.

use std::sync::Arc;

use serde::Deserialize;
use touchstone_protocol::Dialect;

use super::{Basis, Clause, ClauseId, CloseCodeUse, Direction, Folder, MessageKind, Rules, Shape};
use crate::diag::Diag;
use crate::habits::{Answers, Greeting, Habits, Sounding, Stranger};
use crate::read::Reader;
use crate::scenario::{Matcher, Scope};
use crate::source::{Source, Span, Spanned};
use crate::yaml::{self, Node};

/// A rules file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dialect: Option<Spanned<String>>,
    folder: Option<Spanned<String>>,
    clauses: Vec<ClauseEntry>,
    #[serde(default)]
    messages: Vec<MessageEntry>,
    #[serde(default)]
    close_codes: Vec<CloseCodeUse>,
    connection: Option<ConnectionEntry>,
    #[serde(default)]
    greeting: Vec<GreetingEntry>,
    sounding: Option<SoundingEntry>,
    answers: Option<AnswersEntry>,
    heartbeat: Option<Node>,
    heartbeat_answer: Option<Node>,
    #[serde(default)]
    presence: Vec<String>,
    #[serde(default)]
    strangers: Vec<Stranger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionEntry {
    claims: Node,
    #[serde(default)]
    tenants: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GreetingEntry {
    clause: Spanned<String>,
    message: Node,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SoundingEntry {
    #[serde(rename = "type")]
    kind: String,
    data: Node,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswersEntry {
    text: Node,
    nothing: Option<Node>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClauseEntry {
    id: Spanned<String>,
    basis: Basis,
    rule: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    alternatives: Vec<String>,
    #[serde(default)]
    dialects: Vec<Spanned<String>>,
    needs: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageEntry {
    #[serde(rename = "type")]
    kind: Spanned<String>,
    direction: Direction,
    #[serde(rename = "match")]
    matcher: Option<Node>,
    text: Option<TextShape>,
    #[serde(default)]
    binary: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TextShape {
    Any,
    Empty,
}

/// The folder, and the place of each of its clauses.
pub(super) fn read_folder(source: &Arc<Source>) -> Result<(Folder, Vec<Span>), Diag> {
    let mut file: File = yaml::from_str(source)?;
    let (name, dialect) = match (file.dialect.take(), file.folder.take()) {
        (Some(name), None) => {
            let dialect = dialect(source, &name)?;
            (name.value, Some(dialect))
        }
        (None, Some(name)) => (name.value, None),
        (None, None) => {
            let message = "a rules file needs `dialect` or `folder`";
            return Err(Diag::new("missing-key", source, Span::default(), message));
        }
        (Some(_), Some(folder)) => {
            let message = "a rules file has `dialect` or `folder`, not both";
            return Err(Diag::new("contradiction", source, folder.span, message));
        }
    };
    let places = file.clauses.iter().map(|entry| entry.id.span).collect();
    let clause = |entry| read_clause(source, &name, dialect, entry);
    let habits = read_habits(source, &mut file)?;
    let clauses = file.clauses.into_iter().map(clause).collect::<Result<_, _>>()?;
    let message = |entry| read_message(source, entry);
    let messages = file.messages.into_iter().map(message).collect::<Result<_, _>>()?;
    let close_codes = file.close_codes;
    Ok((
        Folder {
            name,
            dialect,
            clauses,
            messages,
            close_codes,
            habits,
        },
        places,
    ))
}

fn read_habits(source: &Arc<Source>, file: &mut File) -> Result<Habits, Diag> {
    let rules = Rules::default();
    let mut reader = Reader::new(source, &rules, Scope::None);
    let connection = file.connection.take();
    let tenants = connection.as_ref().is_some_and(|connection| connection.tenants);
    reader.know(&["user", "tenant", "channel", "text", "sounding"]);
    let claims = connection
        .map(|entry| reader.template(&entry.claims))
        .transpose()?;
    let mut greeting = Vec::new();
    for entry in std::mem::take(&mut file.greeting) {
        greeting.push(Greeting {
            clause: Spanned {
                value: ClauseId(entry.clause.value),
                span: entry.clause.span,
            },
            message: reader.message(&entry.message)?,
        });
    }
    let sounding = match file.sounding.take() {
        None => None,
        Some(entry) => Some(Sounding {
            kind: entry.kind,
            data: reader.template(&entry.data)?,
        }),
    };
    let answers = match file.answers.take() {
        None => None,
        Some(entry) => Some(Answers {
            text: reader.shape(&entry.text)?,
            nothing: entry.nothing.map(|node| reader.shape(&node)).transpose()?,
        }),
    };
    let heartbeat = file
        .heartbeat
        .take()
        .map(|node| reader.shape(&node))
        .transpose()?;
    Ok(Habits {
        claims,
        tenants,
        greeting,
        sounding,
        answers,
        heartbeat,
        heartbeat_answer: file.heartbeat_answer.take().map(|node| node.to_json()),
        presence: std::mem::take(&mut file.presence),
        strangers: std::mem::take(&mut file.strangers),
    })
}

fn dialect(source: &Arc<Source>, name: &Spanned<String>) -> Result<Dialect, Diag> {
    name.parse().map_err(|_| {
        let message = format!("`{}` is not a dialect", name.value);
        Diag::new("unknown-dialect", source, name.span, message)
            .suggest(name, Dialect::ALL.iter().map(|dialect| dialect.name()))
    })
}

fn read_clause(
    source: &Arc<Source>,
    folder: &str,
    own: Option<Dialect>,
    entry: ClauseEntry,
) -> Result<Clause, Diag> {
    let id = ClauseId(entry.id.value);
    if id.folder() != folder {
        let message = format!("the clause `{id}` does not belong to `{folder}`");
        let diag = Diag::new("wrong-folder", source, entry.id.span, message);
        return Err(diag.help(format!("its id begins with `{folder}/`")));
    }
    let named = entry.dialects.iter().map(|name| dialect(source, name));
    let named: Vec<Dialect> = named.collect::<Result<_, _>>()?;
    let dialects = match own {
        Some(own) => vec![own],
        None if named.is_empty() => Dialect::ALL.to_vec(),
        None => named,
    };
    Ok(Clause {
        id,
        basis: entry.basis,
        sentence: entry.rule,
        why: entry.why,
        alternatives: entry.alternatives,
        dialects,
        needs: entry.needs,
    })
}

fn read_message(source: &Arc<Source>, entry: MessageEntry) -> Result<MessageKind, Diag> {
    let shape = match (&entry.matcher, entry.text, entry.binary) {
        (Some(node), None, false) => Shape::Json(Box::new(read_matcher(source, node)?)),
        (None, Some(TextShape::Any), false) => Shape::Text,
        (None, Some(TextShape::Empty), false) => Shape::Empty,
        (None, None, true) => Shape::Binary,
        _ => {
            let message = format!("it is not clear how to know the message `{}`", entry.kind.value);
            return Err(Diag::new("wrong-type", source, entry.kind.span, message)
                .help("it has exactly one of `match: …`, `text: any`, `text: empty`, `binary: true`"));
        }
    };
    Ok(MessageKind {
        kind: entry.kind.value,
        direction: entry.direction,
        shape,
    })
}

/// A matcher that tells messages apart; clauses inside it would judge nothing, so none are known.
fn read_matcher(source: &Arc<Source>, node: &Node) -> Result<Matcher, Diag> {
    Reader::new(source, &Rules::default(), Scope::None).shape(node)
}
