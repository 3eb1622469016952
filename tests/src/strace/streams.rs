//! Pipes and sockets: who put bytes in and who took them out.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::{Flow, Witnessed};

/// One direction of one pipe or socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    /// `pipe`, `unix`, `tcp` or `udp`.
    pub(super) kind: &'static str,
    /// Which of that kind.
    pub(super) name: String,
}

/// A call's part in a stream.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) process: u32,
    pub(super) bytes: u64,
    /// Number of the line that it began in.
    pub(super) begun: usize,
    /// Number of the line that it ended in.
    pub(super) ended: usize,
}

/// All streams of a log.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<StreamId, Stream>);

#[derive(Debug, Default)]
struct Stream {
    puts: Vec<Transfer>,
    takes: Vec<Transfer>,
}

impl Streams {
    pub(super) fn put(&mut self, stream: StreamId, transfer: Transfer) {
        self.0.entry(stream).or_default().puts.push(transfer);
    }

    pub(super) fn taken(&mut self, stream: StreamId, transfer: Transfer) {
        self.0.entry(stream).or_default().takes.push(transfer);
    }

    /// From whom to whom.
    pub(super) fn witness(&self, witnessed: &mut Witnessed) {
        for (id, stream) in &self.0 {
            let (writers, readers) = (processes(&stream.puts), processes(&stream.takes));
            // With one at either end it is known whose bytes those are; else only where all that was put in was taken out.
            let sum = |transfers: &[Transfer]| transfers.iter().map(|transfer| transfer.bytes).sum::<u64>();
            let is_drained = readers.len() == 1 && sum(&stream.puts) == sum(&stream.takes);
            let is_certain = writers.len() == 1 || is_drained;
            for put in &stream.puts {
                for take in stream.takes.iter().filter(|take| take.process != put.process && put.begun < take.ended) {
                    let flow = Flow { writer: put.process, reader: take.process, object: id.kind.into() };
                    if is_certain {
                        witnessed.certain.insert(flow.clone());
                    }
                    witnessed.possible.insert(flow);
                }
            }
        }
    }
}

fn processes(transfers: &[Transfer]) -> BTreeSet<u32> {
    transfers.iter().map(|transfer| transfer.process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(puts: &[(u32, u64)], takes: &[(u32, u64)]) -> (usize, usize) {
        let id = StreamId { kind: "pipe", name: "1".into() };
        let mut streams = Streams::default();
        for (line, &(process, bytes)) in puts.iter().enumerate() {
            streams.put(id.clone(), Transfer { process, bytes, begun: line, ended: line });
        }
        for &(process, bytes) in takes {
            streams.taken(id.clone(), Transfer { process, bytes, begun: 50, ended: 51 });
        }
        let mut witnessed = Witnessed::default();
        streams.witness(&mut witnessed);
        (witnessed.certain.len(), witnessed.possible.len())
    }

    #[test]
    fn one_writer_is_certain_for_every_reader() {
        assert_eq!(witness(&[(1, 9)], &[(2, 5), (3, 2)]), (2, 2));
    }

    #[test]
    fn several_writers_are_certain_once_their_one_reader_has_all() {
        assert_eq!(witness(&[(1, 9), (2, 3)], &[(3, 12)]), (2, 2));
        assert_eq!(witness(&[(1, 9), (2, 3)], &[(3, 11)]), (0, 2));
    }

    #[test]
    fn what_a_process_takes_from_itself_is_no_flow() {
        assert_eq!(witness(&[(1, 9)], &[(1, 9)]), (0, 0));
    }
}
