//! Streams that connections share because they need them for one message only: per thread an inflater, and a deflater
//! for each window. Making one costs more than most messages do.

use super::{Deflater, Half, Inflater, Level, Takeover, WindowBits};
use std::cell::{Cell, RefCell};

/// One for each window that can be compressed with, from [`WindowBits::COMPRESS_MIN`] on.
const WINDOWS: usize = (WindowBits::MAX.bits() - WindowBits::COMPRESS_MIN.bits()) as usize + 1;

thread_local! {
    static INFLATER: Cell<Option<Box<Inflater>>> = const { Cell::new(None) };
    static DEFLATERS: RefCell<[Option<Deflater>; WINDOWS]> = const { RefCell::new([const { None }; WINDOWS]) };
}

/// Appends a message to `out` that stands by itself, compressed with a deflater of this thread.
pub fn deflate_shared(window: WindowBits, level: Level, message: &[u8], out: &mut Vec<u8>) {
    let window = window.max(WindowBits::COMPRESS_MIN);
    let takeover = Takeover::Dropped;
    DEFLATERS.with_borrow_mut(|deflaters| {
        let place = &mut deflaters[usize::from(window.bits() - WindowBits::COMPRESS_MIN.bits())];
        let deflater = match place {
            Some(deflater) if deflater.level() == level => deflater,
            _ => place.insert(Deflater::new(Half { takeover, window }, level)),
        };
        deflater.deflate(message, out);
    });
}

/// An inflater for one message that stands by itself.
pub(crate) fn take_inflater() -> Box<Inflater> {
    INFLATER.take().unwrap_or_else(|| {
        Box::new(Inflater::new(Half {
            takeover: Takeover::Dropped,
            window: WindowBits::MAX,
        }))
    })
}

/// The message is complete: the next one of this thread may use its inflater.
pub(crate) fn give_back_inflater(inflater: Box<Inflater>) {
    // An error means that the thread is ending, and the inflater with it.
    let _ = INFLATER.try_with(|spare| spare.set(Some(inflater)));
}
