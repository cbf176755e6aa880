//! What a part of a run tells the others when its phases are over, and hears of them.

use std::convert::Infallible;

use crate::engine::{Exchange, Posted};
use crate::json::pages;
use crate::part::Others;

/// Hands on what this part has sent and posts what all others have, once each. Ends when it is dropped.
pub(super) async fn exchange(others: Option<Others>, exchange: &Exchange) -> Infallible {
    if let Some(Others { tell, hear }) = others {
        let own: Vec<_> = exchange.own().await;
        let sent: Vec<_> = own
            .iter()
            .flat_map(|posted| posted.sent.iter().cloned())
            .collect();
        // Whoever is gone hears nothing, and has nothing to say: what is missed is found when the reports are merged.
        let _gone = tell.send(pages::sent_alone(&sent));
        let heard = hear.await.unwrap_or_default();
        let sent = heard.iter().filter_map(|part| pages::read_sent_alone(part).ok());
        let sent: Vec<_> = sent.flatten().collect();
        let last_millisecond = sent.iter().filter_map(|page| page.outbox.spans().last());
        let last_millisecond = last_millisecond.map(|span| span.latest).max();
        exchange.post(Posted {
            sent: sent.into(),
            last_sent: last_millisecond.map_or(0, |latest| (u64::from(latest) + 1) * 1_000_000),
        });
    }
    std::future::pending().await
}
