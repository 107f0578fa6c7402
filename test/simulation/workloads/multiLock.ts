/**
 * Clients want one, two or three of three locks at a time, and name them in any
 * order. Nobody waits for ever, and each lock has one holder.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lock from "../../../src/recipe/Lock.ts"
import * as MultiLock from "../../../src/recipe/MultiLock.ts"
import { contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const paths = ["/locks/a", "/locks/b", "/locks/c"] as const

export const multiLockWorkload: Workload = {
  name: "multiLock",
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    return {
      prepare: (zk) => Effect.andThen(zk.create(guarded), zk.create("/locks")),
      client: contending(run, {
        directories: paths,
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          return Effect.gen(function*() {
            const [a, b, c] = [yield* Lock.make(paths[0], options), yield* Lock.make(paths[1], options), yield* Lock.make(paths[2], options)]
            const choices = [[a, b], [b, a], [c, a], [a, b, c], [c, b, a], [b]] as const
            return {
              attempt: Effect.suspend(() => {
                const chosen = randomness.pick(choices)
                const what = chosen.map(({ path }) => path.at(-1)).toSorted().join("")
                const use = (isProtected: boolean) => holding.user(participant, { what, isStrict, isProtected })
                const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
                return Effect.flatMap(MultiLock.make(chosen), (lock) => {
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
                })
              }),
              last: Effect.flatMap(MultiLock.make([c, b, a]), (lock) => lock.withLock(Effect.sleep(50)))
            }
          })
        }
      }),
      check: () =>
        holding.checkExclusion(
          (left, right) => Array.from(left.what).some((lock) => right.what.includes(lock)),
          // The newest of several tokens says nothing about the others.
          (left, right) => left.what === right.what
        ),
      calls: () => holding.holds.length
    }
  }
}
