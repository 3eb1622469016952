//! The one question to the terminal itself: how wide it is.

use std::os::fd::{AsRawFd, BorrowedFd};

nix::ioctl_read_bad!(get_window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

/// Columns of the terminal behind `output`; `None` where that is none, or does not say.
#[must_use]
pub fn width_of(output: BorrowedFd<'_>) -> Option<u16> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while it is borrowed, and TIOCGWINSZ writes one winsize to the pointer.
    unsafe { get_window_size(output.as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
