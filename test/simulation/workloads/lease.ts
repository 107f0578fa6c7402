/**
 * Clients obtain a lease, renew it, give it back, and are interrupted while
 * they do. By clocks that agree no two have it at a time.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lease from "../../../src/recipe/Lease.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { expecting, Meeting } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"
import { epoch } from "../World.ts"

const path = "/lease"

interface Term {
  readonly holder: string
  /** In ms since the beginning: when it was told that it has it. */
  readonly from: number
  to: number
}

export const leaseWorkload: Workload = {
  name: "lease",
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 600
    const meeting = new Meeting(run)
    const terms: Array<Term> = []

    const obtain = (participant: Participant, lease: Lease.Lease, holder: string) =>
      Effect.map(lease.obtain, Option.match({
        onNone: () => false,
        onSome: ({ end }) => {
          // What was written may be over when one is told.
          if (participant.loop.now < end - epoch) terms.push({ holder, from: participant.loop.now, to: end - epoch })
          return true
        }
      }))

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const holder = `host-${index}`
          const lease = yield* Effect.provideService(
            Lease.make(path, { duration: randomness.pick([1000, 2000, 4000]), identifier: holder }),
            ZooKeeper,
            zk
          )
          const release = Effect.suspend(() => {
            for (const term of terms) if (term.holder === holder) term.to = Math.min(term.to, participant.loop.now)
            return lease.release
          })
          while (!participant.isOver) {
            yield* participant.pause
            const attempt: Effect.Effect<unknown, Lease.LeaseError> = randomness.chance(0.2)
              ? release
              : obtain(participant, lease, holder)
            yield* expecting(
              run,
              participant,
              ["GrantLost"],
              randomness.chance(0.3)
                ? Effect.timeoutOption(attempt, randomness.between(0, randomness.pick([3, 30, 300])))
                : attempt
            )
          }
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          const left = [...run.ensemble.leader.server.tree.get(path)?.children ?? []].filter((name) => name !== "lease_holder")
          if (left.length > 0) run.violation("M9", `left: ${left.join()}`)
          yield* meeting.all
          // The others' clocks may be an hour ahead.
          if (run.faults.every.wallClock !== Infinity) return
          while (!(yield* Effect.retry(obtain(participant, lease, holder), { while: ({ _tag }) => _tag === "GrantLost" }))) {
            yield* Effect.sleep(1000)
          }
          yield* Effect.retry(release, { while: ({ _tag }) => _tag === "GrantLost" })
        }),
      check: () => {
        if (run.faults.every.wallClock !== Infinity) return
        for (const first of terms) {
          for (const second of terms) {
            if (first.holder !== second.holder && first.from <= second.from && second.from < first.to) {
              run.violation("lease", `both have it: ${JSON.stringify(first)}, and ${JSON.stringify(second)}`)
            }
          }
        }
      },
      calls: () => terms.length
    }
  }
}
