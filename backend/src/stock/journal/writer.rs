//! The thread that owns the files: takes what waits, writes it in one go, syncs once,
//! and acknowledges all of it.

use std::sync::Arc;

use seckill_core::journal::frame::MAX_BODY;
use seckill_core::journal::request::Request;
use tokio::sync::{mpsc, oneshot};

use super::files::{Files, WriteError};
use super::{AppendError, Entry, Shared};

/// Most commands that are taken at once, and so most records per sync.
const BATCH: usize = 1024;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Append a request, and say when it is on the disk.
    Append {
        request: Request,
        done: oneshot::Sender<Result<(), AppendError>>,
    },
    /// All records up to this one were replayed.
    Replayed { through: u64 },
}

type Appends = Vec<(Request, oneshot::Sender<Result<(), AppendError>>)>;

/// Writes until the last handle on the journal is gone.
pub(super) fn run(files: Files, mut commands: mpsc::Receiver<Command>, shared: &Arc<Shared>) {
    let mut writer = Writer {
        files,
        shared: Arc::clone(shared),
    };
    let mut taken = Vec::with_capacity(BATCH);
    while commands.blocking_recv_many(&mut taken, BATCH) > 0 {
        let (mut appends, mut replayed) = (Appends::new(), None);
        for command in taken.drain(..) {
            match command {
                Command::Append { request, done } => appends.push((request, done)),
                Command::Replayed { through } => replayed = replayed.max(Some(through)),
            }
        }
        if !appends.is_empty() {
            writer.append(appends);
        }
        if let Some(through) = replayed {
            writer.note(through);
        }
    }
}

struct Writer {
    files: Files,
    shared: Arc<Shared>,
}

impl Writer {
    fn append(&mut self, appends: Appends) {
        if let Some(reason) = self.shared.stopped.get() {
            return answer(appends, &AppendError::NotWritten(reason.clone()));
        }
        let mut bodies: Vec<Vec<u8>> = Vec::with_capacity(appends.len());
        let mut fitting = Appends::with_capacity(appends.len());
        for (request, done) in appends {
            let body = request.encode();
            if (1..=MAX_BODY).contains(&body.len()) {
                bodies.push(body);
                fitting.push((request, done));
            } else {
                let reason = "it is too long for a record".to_owned();
                let _ = done.send(Err(AppendError::NotWritten(reason)));
            }
        }
        match self.files.append(&bodies) {
            Ok((file, first)) => {
                let mut acknowledged = Vec::with_capacity(fitting.len());
                {
                    let mut pending = self.shared.pending();
                    for (seq, (request, done)) in (first..).zip(fitting) {
                        pending.push(Entry { seq, file, request });
                        acknowledged.push(done);
                    }
                }
                for done in acknowledged {
                    let _ = done.send(Ok(()));
                }
                self.shared.arrived.notify_waiters();
            }
            Err(WriteError::NotWritten(reason)) => {
                answer(fitting, &AppendError::NotWritten(reason));
            }
            Err(WriteError::Broken(reason)) => {
                tracing::error!(
                    reason,
                    "the purchase journal takes nothing more until this process is started again; \
                     check the disk first"
                );
                answer(fitting, &AppendError::Unknown(reason.clone()));
                // The first reason stays.
                let _ = self.shared.stopped.set(reason);
            }
        }
    }

    fn note(&mut self, through: u64) {
        if !self.files.is_worth_noting(through) {
            return;
        }
        if let Err(error) = self.files.replayed(through) {
            // They are replayed again after the next start, which changes nothing.
            tracing::warn!(%error, "replayed files of the purchase journal were not removed");
        }
    }
}

fn answer(appends: Appends, error: &AppendError) {
    for (_, done) in appends {
        // A buyer who left does not need it.
        let _ = done.send(Err(error.clone()));
    }
}
