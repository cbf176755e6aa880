//! Which of several expected messages each received one is.

/// Tries that are worth making; reached only by a dozen expectations that nearly all accept each other's messages.
const TRIES_MAX: usize = 100_000;

/// Gives each received message, in order, an expectation of its own, or `None` where that cannot be done.
///
/// `costs[message][expectation]` is `None` where they do not go together, else how much is wrong besides; of two
/// candidates the one with less wrong is tried first. With `groups`, messages of the same group take expectations in
/// the order in which these stand.
#[must_use]
pub fn assign(costs: &[Vec<Option<usize>>], groups: Option<&[String]>) -> Option<Vec<usize>> {
    let mut chosen = Vec::with_capacity(costs.len());
    let mut tries = 0;
    go_on(costs, groups, &mut chosen, &mut tries).then_some(chosen)
}

fn go_on(
    costs: &[Vec<Option<usize>>],
    groups: Option<&[String]>,
    chosen: &mut Vec<usize>,
    tries: &mut usize,
) -> bool {
    let message = chosen.len();
    let Some(row) = costs.get(message) else {
        return true;
    };
    let least = groups.map_or(0, |groups| {
        let earlier = chosen
            .iter()
            .zip(groups)
            .filter(|(_, group)| **group == groups[message]);
        earlier.map(|(expectation, _)| expectation + 1).max().unwrap_or(0)
    });
    let mut candidates: Vec<_> = row
        .iter()
        .enumerate()
        .skip(least)
        .filter(|(expectation, _)| !chosen.contains(expectation))
        .filter_map(|(expectation, cost)| cost.map(|cost| (cost, expectation)))
        .collect();
    candidates.sort_unstable();
    for (_, expectation) in candidates {
        *tries += 1;
        if *tries > TRIES_MAX {
            return false;
        }
        chosen.push(expectation);
        if go_on(costs, groups, chosen, tries) {
            return true;
        }
        chosen.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_greedy_choice_is_taken_back() {
        // The first message goes with both expectations, the second only with the first.
        let costs = [vec![Some(0), Some(0)], vec![Some(0), None]];
        assert_eq!(assign(&costs, None), Some(vec![1, 0]));
    }

    #[test]
    fn two_messages_never_share_an_expectation() {
        assert_eq!(assign(&[vec![Some(0), None], vec![Some(0), None]], None), None);
    }

    #[test]
    fn the_candidate_with_less_wrong_is_preferred() {
        assert_eq!(assign(&[vec![Some(2), Some(0)]], None), Some(vec![1]));
    }

    #[test]
    fn messages_of_a_group_keep_the_order_of_their_expectations() {
        let groups = |names: [&str; 3]| names.map(str::to_owned);
        // Expectations a1, a2, b1; received a2, b1, a1.
        let costs = [
            vec![None, Some(0), None],
            vec![None, None, Some(0)],
            vec![Some(0), None, None],
        ];
        assert_eq!(assign(&costs, Some(&groups(["a", "b", "a"]))), None);
        assert_eq!(assign(&costs, None), Some(vec![1, 2, 0]));
        assert_eq!(
            assign(&costs, Some(&groups(["a2", "b", "a1"]))),
            Some(vec![1, 2, 0])
        );
    }
}
