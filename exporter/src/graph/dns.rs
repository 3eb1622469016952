//! Rule: a look-up is a query with its answer, and a later connection to an address in that answer follows from it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use agentsight_ebpf::{Direction, Dns, KernelNanos, ProcessKey};

use super::load::Load;
use super::transfer::Resolution;
use super::{Activity, Cause, CauseKind, Confidence, Graph, Target};

/// Whoever waits longer for an answer has given up: twice the C library's default.
const UNANSWERED_AFTER: u64 = 10_000_000_000;
/// An address that was answered with no time to live at all may still be connected to at once.
const TTL_AT_LEAST: u64 = 1_000_000_000;
const QUERIES_MAX: usize = 4096;
const ADDRESSES_MAX: usize = 4096;
const ANSWERS_PER_ADDRESS_MAX: usize = 8;
/// Generations between two processes of one tree.
const FAMILY_DEPTH: usize = 32;

/// Which query an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    process: ProcessKey,
    id: u16,
    query_type: u16,
    name: String,
}

/// An address as it was answered.
#[derive(Debug)]
struct Answered {
    to: ProcessKey,
    until: KernelNanos,
    resolution: Target,
}

#[derive(Default)]
pub(super) struct Names {
    asked: BTreeMap<Question, Dns>,
    answered: BTreeMap<IpAddr, Vec<Answered>>,
    /// Tells look-ups of one burst apart.
    number: u32,
}

impl Names {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.asked.len() + self.answered.len()
    }
}

impl Graph {
    pub(super) fn dns(&mut self, dns: &Dns, out: &mut Vec<Activity>) {
        if self.is_too_late(dns.by.process, dns.at) {
            self.oddities.late_events += 1;
            return;
        }
        let process = dns.by.process;
        let question = Question { process, id: dns.id, query_type: dns.query_type, name: dns.name.clone() };
        match (dns.direction, dns.response_code) {
            (Direction::Out, None) => {
                if let Some(before) = self.names.asked.insert(question, dns.clone()) {
                    // Asked again: the first got no answer.
                    self.resolve(&before, None, dns.at, out);
                }
                if self.names.asked.len() > QUERIES_MAX
                    && let Some((_, first)) = self.names.asked.pop_first()
                {
                    self.resolve(&first, None, dns.at, out);
                }
            }
            (Direction::In, Some(_)) => {
                let query = self.names.asked.remove(&question);
                self.resolve(query.as_ref().unwrap_or(dns), Some(dns), dns.at, out);
            }
            // A server's side of it.
            (Direction::Out, Some(_)) | (Direction::In, None) => {}
        }
    }

    /// Queries that are not answered any more, and answers that do not hold any more.
    pub(super) fn forget_names(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        let is_old = |query: &Dns| now.0.saturating_sub(query.at.0) > UNANSWERED_AFTER;
        let old: Vec<_> = self.names.asked.iter().filter(|(_, it)| is_old(it)).map(|(key, _)| key.clone()).collect();
        for question in old {
            if let Some(query) = self.names.asked.remove(&question) {
                self.resolve(&query, None, now, out);
            }
        }
        self.names.answered.retain(|_, answers| {
            answers.retain(|it| it.until >= now);
            !answers.is_empty()
        });
    }

    /// The session is over.
    pub(super) fn forget_all_names(&mut self, at: KernelNanos, out: &mut Vec<Activity>) {
        for query in std::mem::take(&mut self.names.asked).into_values() {
            self.resolve(&query, None, at, out);
        }
        self.names = Names::default();
    }

    fn resolve(&mut self, query: &Dns, answer: Option<&Dns>, at: KernelNanos, out: &mut Vec<Activity>) {
        let image = self.image_of(&query.by, at, out);
        self.names.number = self.names.number.wrapping_add(1);
        let start = query.at;
        let load = Load::of_resolution(&image, &query.name, answer.map_or(0, |it| it.answers.len()));
        let under = self.stand(&image, load, start, at, out);
        let resolution = Resolution {
            under,
            query: query.burst,
            number: self.names.number,
            server: query.server.or(answer.and_then(|it| it.server)),
            name: query.name.clone(),
            query_type: query.query_type,
            start,
            end: answer.map_or(start, |it| it.at.max(start)),
            response_code: answer.and_then(|it| it.response_code),
            answers: answer.map(|it| it.answers.clone()).unwrap_or_default(),
            causes: Vec::new(),
            image,
        };
        self.remember_answers(&resolution);
        out.push(Activity::Resolved(Box::new(resolution)));
    }

    fn remember_answers(&mut self, it: &Resolution) {
        for answer in &it.answers {
            let resolution = Target::Resolution {
                query: it.query,
                number: it.number,
                image: Arc::clone(&it.image),
                trace: Arc::clone(&it.under.trace),
                name: it.name.clone(),
            };
            let ttl = (u64::from(answer.ttl_seconds) * 1_000_000_000).max(TTL_AT_LEAST);
            let until = KernelNanos(it.end.0.saturating_add(ttl));
            let answers = self.names.answered.entry(answer.address.to_canonical()).or_default();
            answers.push(Answered { to: it.image.id.process, until, resolution });
            if answers.len() > ANSWERS_PER_ADDRESS_MAX {
                answers.remove(0);
            }
        }
        while self.names.answered.len() > ADDRESSES_MAX {
            self.names.answered.pop_first();
        }
    }

    /// The look-up that a connection to this address follows from, and the name: the newest by the process itself,
    /// else by one of its tree.
    pub(super) fn answered_for(&self, process: ProcessKey, to: IpAddr, at: KernelNanos) -> Option<(Cause, String)> {
        let answers = self.names.answered.get(&to.to_canonical())?;
        let holds = || answers.iter().rev().filter(|it| at <= it.until);
        let own = holds().find(|it| it.to == process);
        let answer = own.or_else(|| holds().find(|it| self.is_of_family(it.to, process)))?;
        let name = answer.resolution.name()?.to_owned();
        let target = answer.resolution.clone();
        Some((
            Cause { kind: CauseKind::Dns, confidence: Confidence::ANSWERED, target, bytes: None, matched: None },
            name,
        ))
    }

    /// Whether one of the two is an ancestor of the other.
    fn is_of_family(&self, one: ProcessKey, other: ProcessKey) -> bool {
        self.is_ancestor(one, other) || self.is_ancestor(other, one)
    }

    fn is_ancestor(&self, ancestor: ProcessKey, of: ProcessKey) -> bool {
        let mut at = of;
        for _ in 0..FAMILY_DEPTH {
            match self.processes.get(at).and_then(|known| known.image.parent_process) {
                Some(parent) if parent == ancestor => return true,
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn a_connection_to_an_answered_address_follows_from_the_look_up() {
        check(
            "
                0 root 100
                1 exec 100 /bin/curl curl
                2 open 100 #1 udp 10.0.0.5:999 10.0.0.1:53
                3 out 100 #1.1 0..30
                3 asked 100 #1.1 7 api.example
                4 in 100 #1.2 0..60
                4 answered 100 #1.2 7 api.example 93.184.216.34 ttl 60
                5 open 100 #2 tcp 10.0.0.5:1000 93.184.216.34:443
                6 connect 100 #2 93.184.216.34:443 began 5
                7 close 100 #2
                8 open 100 #3 tcp 10.0.0.5:1001 10.9.9.9:443
                9 connect 100 #3 10.9.9.9:443
                62s tick
                65s open 100 #4 tcp 10.0.0.5:1000 93.184.216.34:443
                66s connect 100 #4 93.184.216.34:443 began 5
            ",
            &expect![[r#"
                began    100#1 Root curl under -
                resolved api.example 100#1 3..4 93.184.216.34
                connect  #2 93.184.216.34:443 named api.example from 5 under 100#1 <-Dns api.example (0.9)
                connect  #3 10.9.9.9:443 from 9 under 100#1
                write    #1.1 100#1 udp 0..30 at 3..3 under 100#1
                read     #1.2 100#1 udp 0..60 at 4..4 under 100#1
                closed   #2 5..7 received 0 sent 0 <-Dns api.example (0.9)
                promoted #3 9..62000 received 0 sent 0
                promoted 100#1 0..62000
                connect  #4 93.184.216.34:443 from 5 under 100#1
                closed   #3 9..20000 received 0 sent 0 incomplete close under #3
                closed   #4 5..20000 received 0 sent 0 incomplete
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_a_child_looked_up_its_parent_may_connect_to_and_a_stranger_may_not() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                2 fork 100 102
                3 open 101 #1 udp 10.0.0.5:999 10.0.0.1:53
                4 in 101 #1.2 0..60
                4 answered 101 #1.2 7 api.example 93.184.216.34 ttl 60
                5 open 100 #2 tcp 10.0.0.5:1000 93.184.216.34:443
                6 connect 100 #2 93.184.216.34:443
                8 open 102 #3 tcp 10.0.0.5:1001 93.184.216.34:443
                9 connect 102 #3 93.184.216.34:443
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#0 Forked sh/sh under 100#1
                resolved api.example 101#0 4..4 93.184.216.34
                connect  #2 93.184.216.34:443 named api.example from 6 under 100#1 <-Dns api.example (0.9)
                began    102#0 Forked sh/sh under 100#1
                connect  #3 93.184.216.34:443 from 9 under 102#0
                read     #1.2 101#0 udp 0..60 at 4..4 under 101#0
                closed   #2 6..20000 received 0 sent 0 incomplete <-Dns api.example (0.9)
                closed   #3 9..20000 received 0 sent 0 incomplete
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
                ended    102#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_query_without_an_answer_is_said_when_it_is_given_up() {
        check(
            "
                0 root 100
                1 exec 100 /bin/curl curl
                2 open 100 #1 udp 10.0.0.5:999 10.0.0.1:53
                3 asked 100 #1.1 7 a.example
                4 asked 100 #1.1 7 a.example
                5s answered 100 #1.2 7 a.example
                6s asked 100 #1.3 8 b.example
                17s tick
            ",
            &expect![[r#"
                began    100#1 Root curl under -
                resolved a.example 100#1 3..3 unanswered
                resolved a.example 100#1 4..5000
                resolved b.example 100#1 6000..6000 unanswered
                promoted 100#1 0..17000
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }
}
