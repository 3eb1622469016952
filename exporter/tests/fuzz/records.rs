//! Bytes that a kernel might have sent, and bytes that none would.
//!
//! A record's head is made as the programs make it. What follows are words out of a small pool, whatever the kind means
//! by them: so ids, offsets and lengths of one record fit those of another now and then. Then some are cut or scribbled on.

use agentsight_ebpf::KernelNanos;

const KINDS: u64 = 17;
const HEADER_BYTES: usize = 40;
/// Words behind the head: the largest fixed part, an exec's, has 50.
const WORDS: u64 = 60;

/// SplitMix64: the same numbers on every machine.
pub(crate) struct Records {
    state: u64,
    now: u64,
}

impl Records {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d), now: 1_000_000_000 }
    }

    /// How far time has come.
    pub(crate) fn now(&self) -> KernelNanos {
        KernelNanos(self.now)
    }

    /// One record's bytes.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.now += if self.below(100) == 0 { self.below(5_000_000_000) } else { self.below(2_000_000) };
        let mut record = self.head();
        let words = if self.below(3) == 0 { self.below(WORDS) } else { WORDS + self.below(WORDS) };
        for _ in 0..words {
            let word = self.word();
            record.extend_from_slice(&word.to_le_bytes());
        }
        match self.below(20) {
            0 => {
                let length = self.below(record.len() as u64);
                record.truncate(usize::try_from(length).unwrap_or(0));
            }
            1 => {
                for _ in 0..1 + self.below(4) {
                    let place = usize::try_from(self.below(record.len() as u64)).unwrap_or(0);
                    record[place] = self.bits().to_le_bytes()[0];
                }
            }
            2 => return (0..self.below(200)).map(|_| self.bits().to_le_bytes()[0]).collect(),
            _ => {}
        }
        record
    }

    fn head(&mut self) -> Vec<u8> {
        // Lifecycle less often than the rest, or nobody lives long enough to do anything.
        let kind = if self.below(4) == 0 { self.below(5) } else { self.below(KINDS) };
        let kind = u16::try_from(kind).unwrap_or(0);
        let flags = u16::try_from(self.below(8)).unwrap_or(0);
        let at = self.now - self.below(3) * self.below(1_000_000);
        let start = 500 + self.below(3);
        let mut head = Vec::with_capacity(HEADER_BYTES);
        head.extend(64_u32.to_le_bytes());
        head.extend(kind.to_le_bytes());
        head.extend(flags.to_le_bytes());
        head.extend(at.to_le_bytes());
        head.extend(start.to_le_bytes());
        for word in [100 + self.below(8), 100 + self.below(12), self.below(4), 1] {
            head.extend(u32::try_from(word).unwrap_or(0).to_le_bytes());
        }
        head
    }

    /// Mostly nought and small, as ids and upper halves are.
    fn word(&mut self) -> u32 {
        let word = match self.below(16) {
            0..=5 => 0,
            6..=9 => self.below(12),
            10 => 100 + self.below(8),
            11 => 500 + self.below(3),
            12 => self.now & 0xffff_ffff,
            13 => [1, 2, 10, 53, 80, 4096, 0x7f00_0001][usize::try_from(self.below(7)).unwrap_or(0)],
            14 => u64::from(u32::MAX),
            _ => self.bits() & 0xffff_ffff,
        };
        u32::try_from(word).unwrap_or(u32::MAX)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit.max(1)
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
