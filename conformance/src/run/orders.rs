//! In which orders the lanes of an interleaving take their turns.

use touchstone_scenarios::scenario::{Action, Orders, Scenario};

/// Orders that are run at most, however many there are. The reader refuses more.
const ORDERS_MAX: usize = 64;

/// One order: whose turn it is, by the position of the lane.
pub(crate) type Turns = Vec<usize>;

/// The orders of a scenario's interleaving; a single empty one where there is none.
#[must_use]
pub(crate) fn orders(scenario: &Scenario) -> Vec<Turns> {
    let interleaving = scenario.steps.iter().find_map(|step| match &step.action {
        Action::Interleave { orders, lanes } => Some((
            *orders,
            lanes.iter().map(|(_, steps)| steps.len()).collect::<Vec<_>>(),
        )),
        _ => None,
    });
    match interleaving {
        None => vec![Turns::new()],
        Some((Orders::All, lengths)) => every(&lengths),
        Some((Orders::Random { count, seed }, lengths)) => drawn(&lengths, count, seed),
    }
}

fn every(lengths: &[usize]) -> Vec<Turns> {
    let mut orders = Vec::new();
    extend(&mut lengths.to_vec(), &mut Turns::new(), &mut orders);
    orders
}

fn extend(left: &mut [usize], turns: &mut Turns, orders: &mut Vec<Turns>) {
    if orders.len() == ORDERS_MAX {
        return;
    }
    if left.iter().all(|left| *left == 0) {
        orders.push(turns.clone());
        return;
    }
    for lane in 0..left.len() {
        if left[lane] > 0 {
            left[lane] -= 1;
            turns.push(lane);
            extend(left, turns, orders);
            turns.pop();
            left[lane] += 1;
        }
    }
}

fn drawn(lengths: &[usize], count: u32, seed: u64) -> Vec<Turns> {
    let mut random = fastrand::Rng::with_seed(seed);
    let all: Turns = lengths
        .iter()
        .enumerate()
        .flat_map(|(lane, length)| std::iter::repeat_n(lane, *length))
        .collect();
    let draw = |_| {
        let mut turns = all.clone();
        random.shuffle(&mut turns);
        turns
    };
    (0..count).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_there_once_and_keeps_each_lanes_own() {
        assert_eq!(
            every(&[2, 2]),
            [
                [0, 0, 1, 1],
                [0, 1, 0, 1],
                [0, 1, 1, 0],
                [1, 0, 0, 1],
                [1, 0, 1, 0],
                [1, 1, 0, 0]
            ]
        );
        assert_eq!(every(&[1, 0, 1]).len(), 2);
    }

    #[test]
    fn drawn_orders_are_the_same_for_the_same_seed() {
        let orders = drawn(&[3, 3], 20, 7);
        assert_eq!(orders, drawn(&[3, 3], 20, 7));
        assert_ne!(orders, drawn(&[3, 3], 20, 8));
        assert!(
            orders
                .iter()
                .all(|turns| turns.iter().filter(|lane| **lane == 0).count() == 3)
        );
    }
}
