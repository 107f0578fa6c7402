/**
 * Readers and writers of one path: a writer is alone, and who writes may go on
 * as a reader without letting another writer in.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as ReadWriteLock from "../../../src/recipe/ReadWriteLock.ts"
import { contending, guarded, Holding, mannersOf } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/catalogue"

export const readWriteLockWorkload: Workload = {
  name: "readWriteLock",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    return {
      prepare: (zk) => zk.create(guarded),
      client: contending(run, {
        directories: [path],
        make: (participant) => {
          const { randomness } = participant
          const options = mannersOf(randomness)
          const isStrict = options.validity === "strict"
          const use = (what: "read" | "write", isProtected = false) =>
            holding.user(participant, { what, isStrict, isProtected })
          return Effect.map(ReadWriteLock.make(path, { ...options, layout }), ({ downgrade, read, write }) => ({
            attempt: Effect.suspend(() => {
              const bound = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
              const [what, side] = randomness.chance(0.5) ? ["read", read] as const : ["write", write] as const
              switch (randomness.below(5)) {
                case 0:
                  return Effect.scoped(Effect.flatMap(side.tryAcquire, Option.match({
                    onNone: () => Effect.void,
                    onSome: use(what)
                  })))
                case 1:
                  return Effect.scoped(Effect.flatMap(side.acquire(bound), use(what)))
                case 2:
                  return Effect.scoped(Effect.gen(function*() {
                    const outer = yield* Effect.scope
                    const reading = yield* Effect.scoped(Effect.gen(function*() {
                      const writing = yield* write.acquire(bound)
                      yield* use("write")(writing)
                      return yield* Scope.provide(downgrade(writing), outer)
                    }))
                    yield* use("read")(reading)
                  }))
                default:
                  return side.withLock(use(what, true), bound)
              }
            }),
            last: Effect.andThen(read.withLock(Effect.sleep(50)), write.withLock(Effect.sleep(50)))
          }))
        }
      }),
      check: () => holding.checkExclusion((left, right) => left.what === "write" || right.what === "write"),
      calls: () => holding.holds.length
    }
  }
}
