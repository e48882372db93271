//! What an answer other than success tells, and why a call did not succeed in the end.

use firestore::gcloud_sdk::tonic::{Code, Status};

/// What a status tells of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A document is another than the call expected. Sent again it would be told the same: the caller must read and
    /// decide again.
    Conflict,
    /// Others are at the same document. Nothing was changed, and in a moment the same call may succeed.
    Contended,
    /// Nobody knows whether it was carried out. If it was, its precondition makes the next try a conflict, in which the
    /// caller may know its own save; calls without one may be made twice.
    OutOfReach,
    /// Sent again it would be refused again.
    Refused,
}

/// What `code` tells of a call that writes, or reads documents by name or query.
pub(super) fn verdict(code: Code) -> Verdict {
    match code {
        // The `updateTime` is another than the precondition says.
        Code::FailedPrecondition
        // It was not to exist, and does.
        | Code::AlreadyExists
        // It was to exist, and does not.
        | Code::NotFound => Verdict::Conflict,

        // Firestore gave up waiting for a lock that another write or transaction holds, and wrote nothing.
        Code::Aborted => Verdict::Contended,

        // The connection could not be had, or broke; or Firestore is being moved about.
        Code::Unavailable
        // No answer in time, says Firestore or say we.
        | Code::DeadlineExceeded
        // Not by us, so by what lies in between.
        | Code::Cancelled
        // Too much at once for the project or the database: later it may fit.
        | Code::ResourceExhausted
        // Firestore's own mishaps, and the client's names for a wire that broke in the middle of an answer.
        | Code::Internal
        | Code::Unknown => Verdict::OutOfReach,

        // The request is wrong.
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unimplemented
        // We are not whom we say, or may not.
        | Code::Unauthenticated
        | Code::PermissionDenied
        // A document that is damaged stays so.
        | Code::DataLoss
        // An error that says that there is none.
        | Code::Ok => Verdict::Refused,
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// A document is not as the call expected it.
    #[error("a document is another than was expected")]
    Conflict {
        #[source]
        status: Status,
        /// An earlier try of the same call may have been carried out: then this is in conflict with itself.
        in_doubt: bool,
    },
    /// Others were at the same document each time it was tried.
    #[error("others are writing the same document all the time")]
    Contended(#[source] anyhow::Error),
    #[error("Firestore failed")]
    Failed(#[source] anyhow::Error),
}

impl CallError {
    /// The error of a call that expected nothing of the documents: a conflict is then a failure like others.
    pub(super) fn of_read(self) -> anyhow::Error {
        match self {
            Self::Conflict { status, .. } => anyhow::Error::new(status),
            Self::Contended(error) | Self::Failed(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_verdict() {
        let verdicts = [
            (Code::Ok, Verdict::Refused),
            (Code::Cancelled, Verdict::OutOfReach),
            (Code::Unknown, Verdict::OutOfReach),
            (Code::InvalidArgument, Verdict::Refused),
            (Code::DeadlineExceeded, Verdict::OutOfReach),
            (Code::NotFound, Verdict::Conflict),
            (Code::AlreadyExists, Verdict::Conflict),
            (Code::PermissionDenied, Verdict::Refused),
            (Code::ResourceExhausted, Verdict::OutOfReach),
            (Code::FailedPrecondition, Verdict::Conflict),
            (Code::Aborted, Verdict::Contended),
            (Code::OutOfRange, Verdict::Refused),
            (Code::Unimplemented, Verdict::Refused),
            (Code::Internal, Verdict::OutOfReach),
            (Code::Unavailable, Verdict::OutOfReach),
            (Code::DataLoss, Verdict::Refused),
            (Code::Unauthenticated, Verdict::Refused),
        ];
        for (number, (code, expected)) in verdicts.into_iter().enumerate() {
            assert_eq!(code as usize, number, "each code once, in their order");
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
