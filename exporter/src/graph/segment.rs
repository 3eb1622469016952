//! Rule: a trace that is full, or of ours and old, goes on in the next: what needs a parent there gets a continuation.
//!
//! An image stands in the trace of its parent while that has room, else in the session's current segment, under a
//! continuation of its parent. A trace is chosen when an image is announced and never again.

use std::sync::Arc;

use agentsight_ebpf::{KernelNanos, ProcessKey};

use super::activity::{Continued, Place};
use super::image::{Parent, Part};
use super::load::Load;
use super::process::Stage;
use super::{Account, Activity, Confidence, Graph, Image, Trace};

impl Graph {
    /// Decide where the span of an image that is about to be announced goes, and make its parent stand there.
    pub(super) fn settle(&mut self, process: ProcessKey, at: KernelNanos, out: &mut Vec<Activity>) {
        let Some(known) = self.processes.get_mut(process) else { return };
        let forker = known.forker.take();
        let image = known.image.clone();
        let load = Load::of_image(&image);
        let (trace, part) = match (&image.parent, forker) {
            (Parent::Image { .. }, Some(forker)) => self.stand_under(&forker, &image, load, at, out),
            // Its own choice was made when it was adopted; the root's was promised before it ran.
            (Parent::Adopted(_) | Parent::Image { .. }, _) => (Arc::clone(&image.trace), Part::Original),
            (Parent::None, _) if image.is_root() => (Arc::clone(&image.trace), Part::Original),
            (Parent::None, _) => (self.current_for(load, at), Part::Original),
        };
        self.traces.charge(&trace, load, at);
        let Some(known) = self.processes.get_mut(process) else { return };
        if known.image.trace.id != trace.id {
            // It belongs to the trace that came with it.
            known.image.trace_state = "".into();
            known.image.trace = trace;
        }
        if let Parent::Image { part: of_parent, .. } = &mut known.image.parent {
            *of_parent = part;
        }
        if let Some(root) = self.root.as_mut().filter(|root| root.id == image.id) {
            **root = known.image.clone();
        }
    }

    fn stand_under(
        &mut self,
        parent: &Image,
        child: &Image,
        load: Load,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> (Arc<Trace>, Part) {
        if self.traces.admits(&parent.trace, load, at) {
            return (Arc::clone(&parent.trace), Part::Original);
        }
        let above = match self.processes.elder(child.id.process) {
            Some(elder) if elder == parent.id.process => self.processes.elder(elder),
            // The parent is gone: this is its nearest ancestor that is not.
            elder => elder,
        };
        let place = self.continue_image(parent, load, child.start, above, at, out);
        (place.trace, Part::Continuation)
    }

    /// Where the `exit` of a promoted image goes: under its newest span, as long as that one's trace has room.
    pub(super) fn place_exit(
        &mut self,
        process: ProcessKey,
        account: &Account,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Option<Place> {
        let known = self.processes.get(process)?;
        let (image, mut place) = (known.image.clone(), known.newest());
        let load = Load::of_exit(&image, account);
        if !self.traces.holds(&place.trace, load) {
            let above = self.processes.elder(process);
            place = self.continue_image(&image, load, at, above, at, out);
        }
        self.traces.charge(&place.trace, load, at);
        Some(place)
    }

    /// Where something of an image's that has no children goes: under its span, or under its continuation. The room is taken.
    pub(super) fn stand(
        &mut self,
        image: &Image,
        load: Load,
        start: KernelNanos,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Place {
        let place = if self.traces.admits(&image.trace, load, at) {
            Place { trace: Arc::clone(&image.trace), part: Part::Original, start: image.start }
        } else {
            let above = self.processes.elder(image.id.process);
            self.continue_image(image, load, start, above, at, out)
        };
        self.traces.charge(&place.trace, load, at);
        place
    }

    /// The image's continuation in the current segment, made where it is not there yet; `load` is for what needs it,
    /// `above` the image's nearest live ancestor.
    fn continue_image(
        &mut self,
        image: &Image,
        load: Load,
        start: KernelNanos,
        above: Option<ProcessKey>,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Place {
        let own = Load::of_continuation(image);
        let both = if self.traces.is_continued(image.id) { load } else { load + own };
        let trace = self.current_for(both, at);
        let place = Place { trace, part: Part::Continuation, start: start.max(image.start) };
        if !self.traces.note_continued(image.id) {
            return place;
        }
        self.traces.charge(&place.trace, own, at);
        let parent = self.nearest_in(&place.trace, above);
        let known = self.processes.get_mut(image.id.process).filter(|it| it.image.id == image.id && it.ended.is_none());
        let exits_here = known.is_some_and(|known| {
            known.newest = Some(place.clone());
            known.stage == Stage::Promoted
        });
        let continued = Continued { image: image.clone(), place: place.clone(), parent, exits_here };
        out.push(Activity::ImageContinued(Box::new(continued)));
        place
    }

    /// The current segment; the next one, where this one has no room.
    fn current_for(&mut self, load: Load, at: KernelNanos) -> Arc<Trace> {
        let current = self.traces.current();
        if self.traces.admits(&current, load, at) { current } else { self.traces.open_next() }
    }

    /// The span in this trace of the nearest ancestor that has one.
    fn nearest_in(&self, trace: &Trace, mut ancestor: Option<ProcessKey>) -> Parent {
        while let Some(known) = ancestor.and_then(|key| self.processes.get(key)) {
            let id = known.image.id;
            if known.stage != Stage::Unannounced {
                let confidence = Confidence::CERTAIN;
                if known.image.trace.id == trace.id {
                    return Parent::Image { id, part: Part::Original, confidence };
                }
                if self.traces.is_continued(id) {
                    return Parent::Image { id, part: Part::Continuation, confidence };
                }
            }
            ancestor = self.processes.elder(id.process);
        }
        Parent::None
    }
}

#[cfg(test)]
mod tests;
