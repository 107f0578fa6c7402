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
  readonly next: () => Next
  /** The server that `next` named serves us: a new round begins with the one after it. */
  readonly succeeded: () => void
  /** Replaces the list by a shuffled one and begins a new round, behind the current server if that is still there. */
  readonly update: (hosts: NonEmptyReadonlyArray<Host>) => Effect.Effect<void>
}

/**
 * A list in an order that `Random` decides.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (initial: NonEmptyReadonlyArray<Host>): Effect.Effect<HostList> =>
  Effect.map(Random.shuffle(initial), (shuffled): HostList => {
    let hosts = shuffled
    let position = -1
    let attempts = 0
    return {
      get size() {
        return hosts.length
      },
      next() {
        const roundCompleted = attempts > 0 && attempts % hosts.length === 0
        attempts++
        position = (position + 1) % hosts.length
        return { host: hosts[position] ?? initial[0], roundCompleted }
      },
      succeeded() {
        attempts = 0
      },
      update: (replacement) =>
        Effect.map(Random.shuffle(replacement), (reshuffled) => {
          const current = hosts[position]
          position = reshuffled.findIndex(({ host, port }) => host === current?.host && port === current.port)
          hosts = reshuffled
          attempts = 0
        })
    }
  })
