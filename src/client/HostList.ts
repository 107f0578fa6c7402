/**
 * In which order the servers are tried: shuffled once, so that clients spread
 * over an ensemble, then round-robin from wherever the last attempt was.
 *
 * Names are not resolved here: that happens anew at every attempt.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Host } from "../ConnectionString.ts"

/** The server to try next. */
export interface Next {
  readonly host: Host
  /** Every server has been tried once more without success: back off before trying this one, and report it. */
  readonly roundCompleted: boolean
}

/** The servers of a client and the position in the round. */
export interface HostList {
  readonly size: number
  /** The server to try now. */
  readonly next: () => Next
  /** The server that `next` named serves us: a new round begins with the one after it. */
  readonly succeeded: () => void
  /** Replaces the list by a shuffled one and begins a new round, behind the current server if that is still there. */
  readonly update: (hosts: NonEmptyReadonlyArray<Host>) => Effect.Effect<void>
}

/** A list in an order that `Random` decides. */
export const make = (initial: NonEmptyReadonlyArray<Host>): Effect.Effect<HostList> =>
  Effect.map(Random.shuffle(initial), (shuffled): HostList => {
    let hosts = shuffled
    let position = -1
    let failures = 0
    const current = (): Host => hosts[position] ?? initial[0]
    return {
      get size() {
        return hosts.length
      },
      next() {
        const roundCompleted = failures > 0 && failures % hosts.length === 0
        failures++
        position = (position + 1) % hosts.length
        return { host: current(), roundCompleted }
      },
      succeeded() {
        failures = 0
      },
      update: (replacement) =>
        Effect.map(Random.shuffle(replacement), (reshuffled) => {
          const { host, port } = current()
          position = position < 0
            ? -1
            : reshuffled.findIndex((candidate) => candidate.host === host && candidate.port === port)
          hosts = reshuffled
          failures = 0
        })
    }
  })
