//! Whether arrows go round in a circle.

/// A circle, as the places on it in the order of the arrows; `None` where there is none.
pub(super) fn circle(count: usize, arrows: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut comes_in = vec![0_usize; count];
    for &(from, to) in arrows {
        next[from].push(to);
        comes_in[to] += 1;
    }
    // What nothing leads to is on no circle: take it away with its arrows until nothing more can be taken.
    let mut free: Vec<usize> = (0..count).filter(|&at| comes_in[at] == 0).collect();
    while let Some(at) = free.pop() {
        for &to in &next[at] {
            comes_in[to] -= 1;
            if comes_in[to] == 0 {
                free.push(to);
            }
        }
    }
    // Something leads to each that is left, so walking backwards among these must come round.
    let mut at = comes_in.iter().position(|&left| left > 0)?;
    let mut walked = vec![at];
    loop {
        let before = (0..count).find(|&from| comes_in[from] > 0 && next[from].contains(&at))?;
        if let Some(start) = walked.iter().position(|&seen| seen == before) {
            let mut circle = walked.split_off(start);
            circle.reverse();
            return Some(circle);
        }
        walked.push(before);
        at = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_is_no_circle() {
        assert_eq!(circle(4, &[(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]), None);
    }

    #[test]
    fn a_circle_is_found_without_what_leads_to_it_or_from_it() {
        let mut found = circle(6, &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4), (4, 5)]).unwrap();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn an_arrow_to_itself_is_a_circle() {
        assert_eq!(circle(2, &[(0, 1), (1, 1)]), Some(vec![1]));
    }
}
