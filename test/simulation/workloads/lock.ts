/**
 * Clients want one lock, in every way in which it can be had, and give up at
 * any moment. Whatever happens one at a time believes to have it; in the end
 * everybody gets it, and nothing is left.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lock from "../../../src/recipe/Lock.ts"
import { checkHerd, contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/lock"

export const lockWorkload: Workload = {
  name: "lock",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    const isMeddledWith = run.randomness.chance(0.3)
    return {
      prepare: (zk) => zk.create(guarded),
      client: contending(run, {
        directories: [path],
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          const use = (isProtected: boolean) => holding.user(participant, { what: path, isStrict, isProtected })
          return Effect.map(Lock.make(path, { ...options, layout }), (lock) => ({
            ...isMeddledWith ? { background: holding.meddle(participant, path) } : {},
            attempt: Effect.suspend(() => {
              const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
              switch (randomness.below(4)) {
                case 0:
                  return Effect.scoped(Effect.flatMap(lock.tryAcquire, Option.match({
                    onNone: () => Effect.void,
                    onSome: use(false)
                  })))
                case 1:
                  return Effect.scoped(Effect.flatMap(lock.acquire(bound), use(false)))
                default:
                  return lock.withLock(use(true), bound)
              }
            }),
            last: lock.withLock(Effect.andThen(Effect.sleep(200), Effect.sync(() => checkHerd(run, `${path}/`))))
          }))
        }
      }),
      check: () => holding.checkExclusion(() => true),
      calls: () => holding.holds.length
    }
  }
}
