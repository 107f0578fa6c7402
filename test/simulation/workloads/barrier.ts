/**
 * A barrier is set up and taken away, while others wait at it. Nobody passes
 * while it is there; in the end everybody does.
 */
import * as Effect from "effect/Effect"
import * as Barrier from "../../../src/recipe/Barrier.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingLeft, expecting, Meeting } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/barrier"

export const barrierWorkload: Workload = {
  name: "barrier",
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const meeting = new Meeting(run)
    let passed = 0

    const standing = (): bigint | undefined => run.ensemble.leader.server.tree.get(path)?.stat.czxid

    const wait = ({ index }: Participant, barrier: Barrier.Barrier) =>
      Effect.suspend(() => {
        const before = standing()
        return Effect.map(barrier.wait, () => {
          passed++
          if (before !== undefined && before === standing()) {
            run.violation("B1", `client${index} passes the barrier ${before}, which has been there all the time`)
          }
        })
      })

    const step = (participant: Participant, barrier: Barrier.Barrier): Effect.Effect<void> => {
      const { randomness } = participant
      const bounded = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.timeoutOption(effect, randomness.between(0, randomness.pick([30, 300, 3000])))
      switch (randomness.below(4)) {
        case 0:
          return expecting(run, participant, ["ConnectionError"], bounded(barrier.create))
        case 1:
          return expecting(run, participant, ["ConnectionError"], bounded(barrier.remove))
        default:
          return expecting(run, participant, ["ConnectionError"], bounded(wait(participant, barrier)))
      }
    }

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const barrier = yield* Effect.provideService(Barrier.make(path), ZooKeeper, participant.zk)
          const contend = Effect.gen(function*() {
            while (!participant.isOver) {
              yield* participant.pause
              yield* step(participant, barrier)
            }
          })
          yield* Effect.all([contend, contend], { concurrency: "unbounded" })
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingLeft(run, [path])
          yield* barrier.create
          yield* meeting.all
          const waiting = wait(participant, barrier)
          yield* participant.index > 0
            ? waiting
            : Effect.all([waiting, Effect.andThen(Effect.sleep(500), barrier.remove)], { concurrency: "unbounded" })
        }),
      check: () => undefined,
      calls: () => passed
    }
  }
}
