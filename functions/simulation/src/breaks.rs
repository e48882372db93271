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
    /// Whoever looks sees the disk where it is wanted, and nowhere else.
    TheDiskIsSeenInPlace,
    /// Both.
    NothingElseIsSeen,
    /// Whoever looks sees the disk nowhere but where it is wanted, if it is there, and Compute Engine attaches it as often as it is asked to.
    TheDiskIsSeenNowhere,
    /// Activity is not written.
    ActivityIsForgotten,
    /// Each save moves the deadline back.
    DeadlinesMoveBack,
    /// Each save moves the deadline to the hard end.
    DeadlinesRunAway,
    /// What is ready is saved as idle and stopping.
    RunsAreCutShort,
    /// Every run is said to have ended because its machine stopped.
    ReasonsAreWrong,
    /// No save keeps the hard end.
    TheHardEndMoves,
    /// The reaper does not come, VMs are not heard, and nudges are lost.
    NobodyLooks,
    /// The reaper sees no instances.
    SweepsSeeNoMachines,
    /// No run is ended by time.
    TimeStandsStill,
    /// Whoever looks sees nothing that has come up, only what is coming up.
    NothingComesUp,
    /// Compute Engine refuses every start.
    StartsAreRefused,
    /// Receipts are of twice the time.
    ReceiptsAreDear,
    /// Receipts are of a minute, however long it was.
    ReceiptsAreCheap,
    /// Receipts are lost.
    ReceiptsAreLost,
    /// A run that goes on after an interruption is given more time.
    RestartsAreAnew,
    /// The store forgets that notices were taken out.
    NoticesAreKept,
    /// Whoever looks sees everything down that is being stopped.
    StoppingIsSeenAsDown,
    /// What is being stopped never goes down.
    StopsNeverEnd,
    /// A VM that does not know says that it is idle.
    UnknownIsIdle,
    /// Every word of a VM comes to nothing but an error of ours.
    HeartbeatsFail,
}
