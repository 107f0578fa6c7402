/**
 * Clients want one lock, in every way in which it can be had, and give up at
 * any moment. Whatever happens one at a time believes to have it; in the end
 * everybody gets it, and nothing is left.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lock from "../../../src/recipe/Lock.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkHerd, checkNothingLeft, expecting, guarded, Holding, Meeting, perhapsGivenUp } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/lock"

export const lockWorkload: Workload = {
  name: "lock",
  duration: 8000,
  make: (run) => {
    run.pace = 400
    const holding = new Holding(run)
    const meeting = new Meeting(run)
    const layout = run.randomness.pick(["kazoo", "curator"])
    let attempts = 0

    const attempt = (participant: Participant, lock: Lock.Lock, isStrict: boolean) =>
      Effect.suspend(() => {
        attempts++
        const { randomness } = participant
        const options = randomness.chance(0.2) ? { timeout: randomness.between(0, 3000) } : {}
        const manner = { what: path, isStrict, isProtected: false }
        switch (randomness.below(4)) {
          case 0:
            return Effect.scoped(Effect.flatMap(lock.tryAcquire, Option.match({
              onNone: () => Effect.void,
              onSome: (grant) => holding.use(participant, grant, manner)
            })))
          case 1:
            return Effect.scoped(Effect.flatMap(lock.acquire(options), (grant) => holding.use(participant, grant, manner)))
          default:
            return lock.withLock((grant) => holding.use(participant, grant, { ...manner, isProtected: true }), options)
        }
      })

    const contend = (participant: Participant) =>
      Effect.gen(function*() {
        const { randomness, zk } = participant
        const isStrict = randomness.chance(0.4)
        const lock = yield* Effect.provideService(
          Lock.make(path, {
            layout,
            validity: isStrict ? "strict" : "connection",
            onSuspended: randomness.chance(0.2) ? "stop" : "hold"
          }),
          ZooKeeper,
          zk
        )
        while (!participant.isOver) {
          yield* participant.pause
          yield* expecting(
            run,
            participant,
            ["AcquireTimeout", "GrantLost"],
            perhapsGivenUp(participant, attempt(participant, lock, isStrict))
          )
        }
        return lock
      })

    return {
      prepare: (zk) => zk.create(guarded),
      client: (participant) =>
        Effect.gen(function*() {
          const contenders = 1 + participant.randomness.below(2)
          const [lock] = yield* Effect.all(Array.from({ length: contenders }, () => contend(participant)), {
            concurrency: "unbounded"
          })
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingLeft(run, [path])
          yield* meeting.all
          yield* Effect.retry(lock!.withLock(Effect.andThen(
            Effect.sleep(200),
            Effect.sync(() => checkHerd(run, path))
          )), { while: ({ _tag }) => _tag === "GrantLost" })
        }),
      check: () => holding.checkExclusion(() => true),
      calls: () => attempts
    }
  }
}
