//! The ledger in a report, and read back from it: everything that makes a reckoning of several reports exact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::reader::{At, KeyError};
use crate::ledger::book::{Book, CountedPage, number};
use crate::ledger::delivery::{Inbox, Outbox, Stay};
use crate::ledger::reckon::{CatchUp, HeardPage, Member, SentPage, Terms};
use crate::ledger::{Keys, Run, Totals};
use crate::ranges::Ranges;

/// What `runs[]` says of a book.
pub(super) fn run(book: &Book) -> Value {
    let Totals {
        sent,
        expected,
        received,
        lost,
        duplicated,
        reordered,
        late,
        unconfirmed,
    } = book.counted_totals;
    json!({
        "id": format!("{:x}", book.run),
        "deadline_ms": book.terms.deadline as f64 / 1e6,
        "catch_up": match book.terms.catch_up {
            CatchUp::Possible => true,
            CatchUp::Impossible => false,
        },
        "counted": {
            "sent": sent,
            "expected": expected,
            "received": received,
            "lost": lost,
            "duplicated": duplicated,
            "reordered": reordered,
            "late": late,
            "unconfirmed": unconfirmed,
        },
    })
}

/// The pages of `book`, which is number `index` of the report's: one per session.
pub(super) fn pages(index: usize, book: &Book) -> Vec<Value> {
    let mut pages: Vec<Value> = book
        .counted
        .iter()
        .map(|page| {
            json!({
                "run": index,
                "sender": page.session,
                "sent": page.sent,
                "confirmed": page.confirmed,
            })
        })
        .collect();
    let mut heard = book.heard.iter().peekable();
    for sent in &book.sent {
        let number_sent = number(sent.member.session);
        while let Some(alone) = heard.next_if(|heard| number(heard.member.session) < number_sent) {
            pages.push(Value::Object(heard_page(alone, member(index, alone.member))));
        }
        let mut page = sent_page(sent, member(index, sent.member));
        if let Some(same) = heard.next_if(|heard| heard.member == sent.member) {
            page = heard_page(same, page);
        }
        pages.push(Value::Object(page));
    }
    pages.extend(heard.map(|alone| Value::Object(heard_page(alone, member(index, alone.member)))));
    pages
}

/// What one part of a run tells the others of what it has sent.
pub(crate) fn sent_alone(pages: &[SentPage]) -> Value {
    let said = pages.iter().filter(|page| page.outbox.count() > 0);
    said.map(|page| Value::Object(sent_page(page, member(0, page.member))))
        .collect()
}

/// Reads what [`sent_alone`] wrote.
pub(crate) fn read_sent_alone(pages: &Value) -> Result<Vec<SentPage>, KeyError> {
    let page = |page: At<'_>| {
        let log = page.key("log")?;
        Ok(SentPage {
            member: read_member(&page, page.key("tag")?.whole()?)?,
            outbox: read_outbox(&page, &log)?,
        })
    };
    At::root(pages).elements()?.map(page).collect()
}

fn member(index: usize, member: Member) -> Map<String, Value> {
    let Member {
        session,
        group,
        place,
    } = member;
    Map::from_iter([
        ("run".to_owned(), json!(index)),
        ("sender".to_owned(), json!(number(session))),
        ("tag".to_owned(), json!(session >> 32)),
        ("group".to_owned(), json!(group)),
        ("place".to_owned(), json!(place)),
    ])
}

fn sent_page(page: &SentPage, mut into: Map<String, Value>) -> Map<String, Value> {
    let confirmed: Vec<_> = page.outbox.confirmations().iter().collect();
    into.insert("sent".to_owned(), json!(page.outbox.count()));
    into.insert("confirmed".to_owned(), json!(confirmed));
    into.insert("log".to_owned(), json!(STANDARD.encode(page.outbox.log())));
    into
}

fn heard_page(page: &HeardPage, mut into: Map<String, Value>) -> Map<String, Value> {
    let HeardPage { member, inbox } = page;
    let stays: Vec<Value> = inbox
        .stays()
        .iter()
        .map(|stay| match stay.until {
            Stay::LASTS => json!([stay.from]),
            until => json!([stay.from, until]),
        })
        .collect();
    into.insert("stays".to_owned(), Value::Array(stays));
    into.insert("received".to_owned(), runs(inbox.received(), *member));
    into.insert("late".to_owned(), runs(inbox.late(), *member));
    into.insert("duplicated".to_owned(), json!(inbox.duplicated()));
    into.insert("reordered".to_owned(), json!(inbox.reordered()));
    into
}

/// `[sender, first, last]`, and the sender's tag where it is not the recipient's own.
fn runs(keys: &Keys, of: Member) -> Value {
    let own_tag = of.session >> 32;
    let all = keys.runs().iter().map(|run| {
        let (sender, tag) = (number(run.sender), run.sender >> 32);
        if tag == own_tag {
            json!([sender, run.first, run.last])
        } else {
            json!([sender, run.first, run.last, tag])
        }
    });
    Value::Array(all.collect())
}

/// Reads the books of a report: its `runs`, with the pages in its `ledger`.
pub(crate) fn read(report: &At<'_>) -> Result<Vec<Book>, KeyError> {
    let mut books = report.list("runs", |run| read_run(&run))?;
    let Some(ledger) = report.optional("ledger") else {
        return Ok(books);
    };
    for page in ledger.elements()? {
        let at = page.key("run")?;
        let run: usize = at.whole()?;
        let book = books
            .get_mut(run)
            .ok_or_else(|| at.wrong(format!("is {run}, but `/runs` has fewer")))?;
        read_page(&page, book)?;
    }
    books.iter_mut().for_each(Book::sort);
    Ok(books)
}

fn read_run(run: &At<'_>) -> Result<Book, KeyError> {
    let id = run.key("id")?;
    let number = u64::from_str_radix(id.text()?, 16).map_err(|_| id.wrong("is no id of a run"))?;
    let deadline_ms = run.key("deadline_ms")?.number()?;
    let catch_up = if run.key("catch_up")?.yes_or_no()? {
        CatchUp::Possible
    } else {
        CatchUp::Impossible
    };
    let mut book = Book::new(
        number,
        Terms {
            deadline: (deadline_ms * 1e6).round() as u64,
            catch_up,
        },
    );
    if let Some(counted) = run.optional("counted") {
        book.counted_totals = totals(&counted)?;
    }
    Ok(book)
}

/// The sums of a ledger, each under its name.
pub(super) fn totals(at: &At<'_>) -> Result<Totals, KeyError> {
    Ok(Totals {
        sent: at.count("sent")?,
        expected: at.count("expected")?,
        received: at.count("received")?,
        lost: at.count("lost")?,
        duplicated: at.count("duplicated")?,
        reordered: at.count("reordered")?,
        late: at.count("late")?,
        unconfirmed: at.count("unconfirmed")?,
    })
}

fn read_page(page: &At<'_>, book: &mut Book) -> Result<(), KeyError> {
    let session: u32 = page.key("sender")?.whole()?;
    let Some(tag) = page.optional("tag") else {
        book.counted.push(CountedPage {
            session,
            sent: page.key("sent")?.whole()?,
            confirmed: page.list("confirmed", |range| Ok(range.wholes::<2>()?.into()))?,
        });
        return Ok(());
    };
    let tag: u32 = tag.whole()?;
    let member = read_member(page, tag)?;
    if let Some(log) = page.optional("log") {
        let outbox = read_outbox(page, &log)?;
        book.sent.push(SentPage { member, outbox });
    }
    if page.optional("stays").is_some() {
        let inbox = Inbox::restore(
            page.list("stays", |stay| read_stay(&stay))?,
            read_keys(page, "received", tag)?,
            read_keys(page, "late", tag)?,
            page.count("duplicated")?,
            page.count("reordered")?,
        );
        book.heard.push(HeardPage { member, inbox });
    }
    Ok(())
}

fn read_member(page: &At<'_>, tag: u32) -> Result<Member, KeyError> {
    let session: u32 = page.key("sender")?.whole()?;
    Ok(Member {
        session: u64::from(tag) << 32 | u64::from(session),
        group: page.key("group")?.whole()?,
        place: page.key("place")?.whole()?,
    })
}

fn read_outbox(page: &At<'_>, log: &At<'_>) -> Result<Outbox, KeyError> {
    let bytes = STANDARD.decode(log.text()?).map_err(|error| log.wrong(error))?;
    let ranges = page.list("confirmed", |range| {
        let [first, last] = range.wholes()?;
        if first == 0 || last < first {
            return Err(range.wrong("is no range of sequences"));
        }
        Ok((first, last))
    })?;
    let confirmed = Ranges::from_ascending(ranges)
        .ok_or_else(|| page.wrong("has ranges in `confirmed` that are not ascending"))?;
    Outbox::restore(confirmed, bytes).map_err(|error| log.wrong(error))
}

fn read_stay(stay: &At<'_>) -> Result<Stay, KeyError> {
    let mut times = stay.elements()?.map(|time| time.whole());
    let from = times.next().ok_or_else(|| stay.wrong("must have a begin"))??;
    let until = times.next().unwrap_or(Ok(Stay::LASTS))?;
    Ok(Stay { from, until })
}

fn read_keys(page: &At<'_>, key: &str, own_tag: u32) -> Result<Keys, KeyError> {
    let runs = page.list(key, |at| {
        let numbers = at
            .elements()?
            .map(|number| number.whole())
            .collect::<Result<Vec<u32>, _>>()?;
        let (sender, first, last, tag) = match *numbers.as_slice() {
            [sender, first, last] => (sender, first, last, own_tag),
            [sender, first, last, tag] => (sender, first, last, tag),
            _ => return Err(at.wrong("must be `[sender, first, last]` or have a tag after that")),
        };
        let sender = u64::from(tag) << 32 | u64::from(sender);
        Ok(Run { sender, first, last })
    })?;
    Keys::from_runs(runs)
        .ok_or_else(|| page.wrong(format!("has ranges in `{key}` that are empty or not ascending")))
}
