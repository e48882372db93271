/**
 * The shapes that cross the wire and the shape of the page's own state. Types only: nothing in this file runs, and
 * the browser never loads it.
 *
 * Wire shapes keep the wire's snake_case; what the page itself keeps is camelCase. Moments of the page are monotonic
 * milliseconds (`performance.now()`), moments of the wire are RFC 3339 strings on the policy's clock.
 */

/** @typedef {'Stopped'|'Placing'|'Booting'|'Ready'|'Draining'|'Stopping'|'Failed'} Phase */
/** @typedef {'Queue'|'Traffic'|'Gpu'|'Person'} Signal */
/** @typedef {'admin'|'user'|'viewer'} Role */
/** @typedef {'Idle'|'NeverOpened'|'User'|'HardLimit'|'Silent'|'Preempted'|'HostError'|'Budget'|'MachineStopped'|'StartFailed'} StopReason */
/** @typedef {'trying'|'dry'|'timed_out'|'up'|'preempted'|'refused'|'given_up'} Outcome */

/**
 * @typedef {object} Placement
 * @property {string} instance
 * @property {string} zone
 * @property {boolean} spot
 * @property {string} machine_type
 * @property {string|null} accelerator
 * @property {number|null} usd_per_hour
 * @property {string|null} [price_date] Day of the price list, `2026-07-30`.
 */

/**
 * @typedef {object} BootStep
 * @property {string} step
 * @property {number} seconds
 * @property {number|null} usual_seconds
 */

/**
 * @typedef {object} Boot
 * @property {string} step
 * @property {number|null} percent
 * @property {string|null} detail
 * @property {number|null} usual_seconds What the whole start usually takes.
 * @property {BootStep[]} [steps] The finished ones and the current one.
 */

/**
 * @typedef {object} LastStop
 * @property {StopReason} reason
 * @property {string} at
 * @property {Signal|null} signal The last sign of use before the stop.
 * @property {number|null} [run]
 * @property {number|null} [cost_usd]
 * @property {number|null} [seconds]
 */

/**
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} title
 * @property {string|null} [hint]
 * @property {string|null} [detail] What was said by whoever refused.
 * @property {string|null} [retry_at]
 * @property {string|null} [zone] Where, if it is in one place.
 * @property {string|null} [url] Where to do something about it.
 * @property {boolean} [can_keep_trying] Whether asking again and again may help.
 */

/**
 * One placement that was asked for.
 * @typedef {object} Attempt
 * @property {string} instance
 * @property {string} zone
 * @property {boolean} spot
 * @property {string} at
 * @property {Outcome} outcome
 */

/**
 * A start that goes on when all zones are dry.
 * @typedef {object} KeepTrying
 * @property {string} until
 * @property {string|null} next_at While it waits between two rounds.
 * @property {number} rounds Those in which all were dry.
 */

/**
 * @typedef {object} Budget
 * @property {number} monthly_usd
 * @property {number} spent_usd
 * @property {number} percent
 * @property {boolean} used_up
 * @property {'next_idle'|'hard_limit'} when_used_up
 */

/**
 * @typedef {object} View
 * @property {string} id
 * @property {string} title
 * @property {'Running'|'Stopped'} wish
 * @property {Phase} phase
 * @property {number} run
 * @property {string} now
 * @property {Placement|null} placement
 * @property {Boot|null} boot
 * @property {string|null} started_at
 * @property {string|null} ready_at
 * @property {string|null} last_active_at
 * @property {Signal|null} active_because
 * @property {Signal|null} [working] What is going on by the VM's last word.
 * @property {string|null} stop_at
 * @property {string|null} hard_stop_at
 * @property {string|null} [drain_ends_at]
 * @property {StopReason|null} [ending] Why it is draining or stopping.
 * @property {{run_usd: number|null, month_usd: number|null, idle_usd: number|null}|null} cost
 * @property {LastStop|null} last_stop
 * @property {Failure|null} failure
 * @property {number} [poll_after_ms] Real milliseconds until the next question is welcome.
 * @property {number} [clock_rate] Policy seconds per real second: 1 in production.
 * @property {{idle_minutes: number, arrival_minutes: number, hard_minutes: number}|null} [limits]
 * @property {boolean} [opened] Whether anybody has opened this run's ComfyUI.
 * @property {Attempt[]} [walk] This run's tries, oldest first.
 * @property {KeepTrying|null} [keep_trying]
 * @property {number} [restarts] After interruptions, in a row.
 * @property {boolean} [restore_queue] Whether prompts that waited are put back after an interruption.
 * @property {number} [kept_prompts] How many of them lie on the disk.
 * @property {{regional: boolean, zones: string[]}|null} [disk]
 * @property {Budget|null} [budget]
 */

/**
 * One run of the history.
 * @typedef {object} Run
 * @property {number} run
 * @property {string} started_at
 * @property {string|null} [ready_at]
 * @property {string} ended_at
 * @property {StopReason} reason
 * @property {string|null} [failure] As the domain names it: `StockOut`.
 * @property {string|null} [instance]
 * @property {string|null} [zone]
 * @property {number} billed_seconds
 * @property {number} cost_usd
 * @property {Attempt[]} [walk]
 * @property {string|null} [started_by]
 * @property {number|null} [restart_of]
 */

/**
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} title
 * @property {string} [detail]
 * @property {string} [hint]
 */

/**
 * A problem shown to the person, with the moment from which another try is welcome.
 * @typedef {Problem & {retryAt?: number|null}} Notice
 */

/** @typedef {{name: string, role: Role}} User */

/**
 * @typedef {object} Session
 * @property {string} token
 * @property {User} user
 * @property {number} obtainedAt Wall-clock milliseconds, because it outlives the page.
 */

/**
 * What one request came to. `request` never throws: being unreachable is an answer too.
 * @typedef {{kind: 'ok', status: number, body: unknown, etag: string|null}
 *   | {kind: 'unchanged'}
 *   | {kind: 'problem', status: number, problem: Problem, retryAfterMs: number|null}
 *   | {kind: 'unreachable'}
 *   | {kind: 'aborted'}} Answer
 */

/**
 * A view, and when it came: its clocks tick on from there.
 * @typedef {object} Known
 * @property {View} view
 * @property {string|null} etag
 * @property {number} receivedAt
 */

/** @typedef {'start'|'stop'|'extend'|'keep-running'|'open-tab'|'prefer'|'move-disk'} Deed */

/**
 * @typedef {object} Trouble
 * @property {'unreachable'|'refused'} kind
 * @property {string} detail
 * @property {number} attempts
 * @property {number} retryAt
 */

/**
 * ComfyUI in the page. `serial` tells one iframe from the next; `url` holds the ticket and stays in memory.
 * @typedef {object} Frame
 * @property {string} key
 * @property {string} url
 * @property {string} origin
 * @property {number} serial
 * @property {boolean} loaded
 */

/**
 * @typedef {object} State
 * @property {Session|null} session
 * @property {'fresh'|'expired'|'signed_out'} left Why the sign-in form shows.
 * @property {{busy: boolean, problem: Problem|null, retryAt: number}} signIn
 * @property {Known[]|null} known Null until the first list has come.
 * @property {string|null} selected
 * @property {Deed|null} pending
 * @property {Notice|null} notice
 * @property {Trouble|null} trouble
 * @property {Frame|null} frame
 * @property {Problem|null} frameProblem
 * @property {number} keptUntil The drain banner lingers until then, so that nothing moves under the pointer.
 */

/**
 * Everything of the outside world that the controller touches; a test hands in its own.
 * @typedef {object} Surroundings
 * @property {typeof fetch} fetch
 * @property {Pick<Storage, 'getItem'|'setItem'|'removeItem'>} storage
 * @property {() => number} monotonic
 * @property {() => number} wall
 * @property {() => number} chance From 0 to 1.
 * @property {(run: () => void, ms: number) => unknown} setTimer
 * @property {(timer: unknown) => void} clearTimer
 * @property {() => boolean} visible
 * @property {string} ownOrigin
 * @property {(url: string) => void} openTab
 * @property {(id: string|null) => void} rememberSelected
 * @property {string|null} selectedAtStart
 */

export {};
