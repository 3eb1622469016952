//! How often this thread has asked for memory, and for how much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { times: 0, bytes: 0 }) };
}

/// Requests, a block that moves or grows being one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) times: u64,
    pub(crate) bytes: u64,
}

impl Asked {
    /// By this thread since it began.
    pub(crate) fn so_far() -> Self {
        ASKED.with(Cell::get)
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { times: self.times - before.times, bytes: self.bytes - before.bytes }
    }
}

/// The system's allocator, with its count.
pub(crate) struct Counting;

impl Counting {
    fn count(bytes: usize) {
        // A thread that ends has no count any more, and nobody asks for it.
        let _ = ASKED.try_with(|asked| {
            let Asked { times, bytes: sum } = asked.get();
            asked.set(Asked { times: times + 1, bytes: sum + bytes as u64 });
        });
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count(new_size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}
