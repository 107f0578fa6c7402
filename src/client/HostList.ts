/**
 * In which order the servers are tried: shuffled once, so that clients spread
 * over an ensemble, then round-robin from wherever the last attempt was.
 *
 * Names are not resolved here: that happens anew at every attempt.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Host } from "../ConnectionString.ts"

/**
 * The server to try next.
 *
 * @category models
 * @since 0.1.0
 */
export interface Next {
  readonly host: Host
  /** Every server has been tried once more without success: back off before trying this one, and report it. */
  readonly roundCompleted: boolean
}

/**
 * The servers of a client and the position in the round.
 *
 * @category models
 * @since 0.1.0
 */
export interface HostList {
  readonly size: number
  /** The server to try now. */
  next(): Next
  /** The server that `next` named serves us: a new round begins with the one after it. */
  succeeded(): void
  /** Replaces the list by a shuffled one and begins a new round, behind the current server if that is still there. */
  update(hosts: NonEmptyReadonlyArray<Host>): Effect.Effect<void>
}

class Shuffled implements HostList {
  private hosts: ReadonlyArray<Host>
  private readonly first: Host
  private position = -1
  private attempts = 0

  constructor(hosts: ReadonlyArray<Host>, first: Host) {
    this.hosts = hosts
    this.first = first
  }

  get size(): number {
    return this.hosts.length
  }

  next(): Next {
    const roundCompleted = this.attempts > 0 && this.attempts % this.hosts.length === 0
    this.attempts++
    this.position = (this.position + 1) % this.hosts.length
    return { host: this.hosts[this.position] ?? this.first, roundCompleted }
  }

  succeeded(): void {
    this.attempts = 0
  }

  update(replacement: NonEmptyReadonlyArray<Host>): Effect.Effect<void> {
    return Effect.map(Random.shuffle(replacement), (reshuffled) => {
      const current = this.hosts[this.position]
      this.position = reshuffled.findIndex(({ host, port }) => host === current?.host && port === current.port)
      this.hosts = reshuffled
      this.attempts = 0
    })
  }
}

/**
 * A list in an order that `Random` decides.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (initial: NonEmptyReadonlyArray<Host>): Effect.Effect<HostList> =>
  Effect.map(Random.shuffle(initial), (shuffled) => new Shuffled(shuffled, initial[0]))
