//! The reading end of a ring buffer map, which looks at a window of it at a time.
//!
//! Whoever maps a ring whole has all of its pages in its resident memory, and twice, because the kernel lays them out
//! twice in a row so that no record is ever torn. A window costs what the window holds.

use std::ffi::c_void;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use aya::maps::{Map, MapData};
use nix::libc;
use nix::unistd::{SysconfVar, sysconf};

use super::LiveError;
use super::probes::map_failed;

/// Holds several of the largest records (a change with two paths, 33 KiB), and hundreds of ordinary ones.
const WINDOW_BYTES: usize = 128 << 10;
/// Before each record: its length with two flags, and a number of the kernel's own (`struct bpf_ringbuf_hdr`).
const HEADER_BYTES: usize = 8;
/// It is being written (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// It is to be skipped (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;

/// A map of type `RINGBUF`, and how far it was read. One thread reads it.
pub(super) struct RingBuffer {
    map: MapData,
    size: usize,
    page: usize,
    consumer: Mapping,
    producer: Mapping,
    window: Option<Window>,
    /// How far it was read, bytes since the beginning.
    position: usize,
    /// What the producer's position was when it was last looked at.
    produced: usize,
    /// Something was read since the programs were last given the chance to see that they need not wake us.
    unfenced: bool,
}

/// What stands in the first page of each kind: a position.
const POSITION_BYTES: usize = size_of::<AtomicUsize>();

impl RingBuffer {
    pub(super) fn open(map: Map, name: &'static str) -> Result<Self, LiveError> {
        let failed = |reason: String| LiveError::Map { map: name, reason };
        let Map::RingBuf(map) = map else { return Err(failed("it is not a ring buffer".to_owned())) };
        // The loader made the size a power of two of pages.
        let size = map.info().map_err(|error| map_failed(name, &error))?.max_entries();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let page = page_bytes().map_err(|error| failed(error.to_string()))?;
        let open = |offset, access| {
            Mapping::open(map.fd().as_fd(), offset, page, access).map_err(|error| failed(error.to_string()))
        };
        let consumer = open(0, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = open(page, libc::PROT_READ)?;
        let position = consumer.position().load(Ordering::Acquire);
        Ok(Self { map, size, page, consumer, producer, window: None, position, produced: position, unfenced: false })
    }

    /// Each record that is there, until `each` has had enough; the one that it says so of is read too.
    ///
    /// # Errors
    /// The kernel did not let the records be mapped. They stay where they are, and the next call tries again.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        while self.has_more() {
            let at = self.position & (self.size - 1);
            let window = self.window(at, HEADER_BYTES)?;
            let header = window.header(at).load(Ordering::Acquire);
            if header & BUSY != 0 {
                if !std::mem::take(&mut self.unfenced) {
                    break;
                }
                // Either the second look sees the record whole, or its writer sees how far we are, and wakes us.
                fence(Ordering::SeqCst);
                continue;
            }
            let length = (header & !DISCARDED) as usize;
            let mut flow = ControlFlow::Continue(());
            if header & DISCARDED == 0 {
                flow = each(self.window(at, HEADER_BYTES + length)?.record(at, length));
            }
            self.position = self.position.wrapping_add((HEADER_BYTES + length).next_multiple_of(HEADER_BYTES));
            // After the record was read: from here on the kernel writes over it.
            self.consumer.position().store(self.position, Ordering::Release);
            self.unfenced = true;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn has_more(&mut self) -> bool {
        if self.position == self.produced {
            if std::mem::take(&mut self.unfenced) {
                // Either this look sees a new record, or its writer sees how far we are, and wakes us.
                fence(Ordering::SeqCst);
            }
            self.produced = self.producer.position().load(Ordering::Acquire);
        }
        self.position != self.produced
    }

    /// The window that holds so many bytes from there on; another one where the last does not.
    fn window(&mut self, at: usize, bytes: usize) -> io::Result<&Window> {
        let window = match self.window.take() {
            Some(window) if window.holds(at, bytes) => window,
            last => {
                drop(last);
                let first = at / self.page * self.page;
                // The ring's pages lie there twice. A record is not longer than the ring.
                let length = (at - first + bytes).next_multiple_of(self.page).max(WINDOW_BYTES);
                let length = length.min(2 * self.size - first);
                // One page of each position lies before them.
                let mapping = Mapping::open(self.map.fd().as_fd(), 2 * self.page + first, length, libc::PROT_READ)?;
                Window { mapping, first }
            }
        };
        if !window.holds(at, bytes) {
            return Err(io::Error::other("a record is longer than its ring"));
        }
        Ok(self.window.insert(window))
    }
}

impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

fn page_bytes() -> nix::Result<usize> {
    let bytes = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or(nix::Error::EINVAL)
}

/// Some bytes of the ring, from its byte `first` on.
struct Window {
    mapping: Mapping,
    first: usize,
}

impl Window {
    fn holds(&self, at: usize, bytes: usize) -> bool {
        at >= self.first && at - self.first + bytes <= self.mapping.length
    }

    fn header(&self, at: usize) -> &AtomicU32 {
        let place = self.place(at, size_of::<AtomicU32>()).cast::<u32>();
        assert!(place.is_aligned());
        // SAFETY: it lies in the mapping, which lives as long as the reference; the kernel changes it atomically.
        unsafe { AtomicU32::from_ptr(place.as_ptr()) }
    }

    fn record(&self, at: usize, length: usize) -> &[u8] {
        let place = self.place(at + HEADER_BYTES, length).cast::<u8>();
        // SAFETY: it lies in the mapping, which lives as long as the reference; the kernel writes there again only when
        // the consumer's position has passed it.
        unsafe { std::slice::from_raw_parts(place.as_ptr(), length) }
    }

    /// So many bytes from there on, which the window holds.
    fn place(&self, at: usize, bytes: usize) -> NonNull<c_void> {
        assert!(self.holds(at, bytes));
        // SAFETY: it stays in the mapping.
        unsafe { self.mapping.address.byte_add(at - self.first) }
    }
}

/// Memory that is shared with the kernel, until this is dropped.
struct Mapping {
    address: NonNull<c_void>,
    length: usize,
}

// SAFETY: nobody else has the address, and memory is not a thread's.
unsafe impl Send for Mapping {}

impl Mapping {
    fn open(map: BorrowedFd<'_>, offset: usize, length: usize, access: i32) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let address = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, map.as_raw_fd(), offset) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address).ok_or_else(|| io::Error::other("the kernel mapped it to 0"))?;
        Ok(Self { address, length })
    }

    fn position(&self) -> &AtomicUsize {
        assert!(self.length >= POSITION_BYTES);
        // SAFETY: it lies at the beginning of the mapping, a page's, and is changed atomically by both sides.
        unsafe { AtomicUsize::from_ptr(self.address.cast().as_ptr()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped by us with this length, and whoever borrowed from it is gone.
        unsafe { libc::munmap(self.address.as_ptr(), self.length) };
    }
}
