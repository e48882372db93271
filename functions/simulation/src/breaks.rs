//! Rules that can be broken on purpose, from outside: by a store, a cloud or a scheduler that is not what it should be.
//! Each is to be found by the law that it breaks, or the laws are worth nothing.

/// A rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The store saves whatever the record is by now.
    SavesAreBlind,
    /// The store forgets the calls that are announced.
    CallsAreForgotten,
    /// Calls reach Compute Engine minutes after they were made.
    CallsArriveLate,
    /// Whoever looks sees no instance but the one that the record names.
    OthersAreNotSeen,
    /// Whoever looks sees the disk where it is wanted.
    TheDiskIsSeenEverywhere,
    /// Activity is not written.
    ActivityIsForgotten,
    /// Each save moves the deadline back.
    DeadlinesMoveBack,
    /// No save keeps the hard end.
    TheHardEndMoves,
    /// The reaper does not come, and the VMs are not heard.
    NobodyLooks,
    /// The reaper sees no instances.
    SweepsSeeNoMachines,
    /// No run is ended by time.
    TimeStandsStill,
    /// Receipts are of twice the time.
    ReceiptsAreDear,
    /// Receipts are lost.
    ReceiptsAreLost,
    /// Whoever looks sees everything down that is being stopped.
    StoppingIsSeenAsDown,
    /// A VM that does not know says that it is idle.
    UnknownIsIdle,
    /// Every word of a VM comes to nothing but an error of ours.
    HeartbeatsFail,
}
