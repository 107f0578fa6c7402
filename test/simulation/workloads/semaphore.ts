/**
 * Clients want one or more of a few permits, and give up at any moment. Never
 * are there more than there are; in the end everybody gets one.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Semaphore from "../../../src/recipe/Semaphore.ts"
import { checkHerd, contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/licences"

export const semaphoreWorkload: Workload = {
  name: "semaphore",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    const permits = 1 + run.randomness.below(3)
    return {
      prepare: (zk) => zk.create(guarded),
      client: contending(run, {
        directories: layout === "kazoo" ? [path, `${path}-__lock__`] : [`${path}/leases`, `${path}/locks`],
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          const use = (weight: number, isProtected = false) =>
            holding.user(participant, { what: `${weight} permits`, weight, isStrict, isProtected })
          return Effect.map(Semaphore.make(path, { ...options, layout, permits }), (semaphore) => ({
            attempt: Effect.suspend(() => {
              const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
              const weight = 1 + randomness.below(permits)
              switch (randomness.below(4)) {
                case 0:
                  return Effect.scoped(Effect.flatMap(semaphore.tryAcquire({ permits: weight }), Option.match({
                    onNone: () => Effect.void,
                    onSome: use(weight)
                  })))
                case 1:
                  return Effect.scoped(Effect.flatMap(semaphore.acquire({ ...bound, permits: weight }), use(weight)))
                default:
                  return semaphore.withPermits(weight, bound)(use(weight, true))
              }
            }),
            // Only who is next waits for permits, all others for one who waits.
            last: semaphore.withPermits(1)(Effect.andThen(Effect.sleep(50), Effect.sync(() => checkHerd(run, path))))
          }))
        }
      }),
      check: () => holding.checkPermits(permits),
      calls: () => holding.holds.length
    }
  }
}
