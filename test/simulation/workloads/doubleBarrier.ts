/**
 * Members enter a double barrier and leave it, round by round, and give up at
 * any moment. Nobody is through before enough are there, nor out before all of
 * the round are; in the end everybody is.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as DoubleBarrier from "../../../src/recipe/DoubleBarrier.ts"
import * as ZnodePath from "../../../src/ZnodePath.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingBeside, checkNothingLeft, expecting, Meeting } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/double"

/** Who was there at one moment, with the czxid, of those that were not leaving. */
type Present = ReadonlyMap<string, bigint>

/** A member that is through. */
interface Through {
  readonly client: number
  readonly name: string
  isLeaving: boolean
}

export const doubleBarrierWorkload: Workload = {
  name: "doubleBarrier",
  duration: 8000,
  crowd: 6,
  make: (run) => {
    run.pace = 400
    const meeting = new Meeting(run)
    const moments: Array<Present> = []
    const through: Array<Through> = []
    let rounds = 0
    /** How many have done their last round with faults. */
    let done = 0
    /** Nobody gives up by itself while there are faults: who is forgotten waits for ever. */
    const isPatient = run.randomness.chance(0.3)

    const present = (): Present => {
      const { tree } = run.ensemble.leader.server
      return new Map([...tree.get(path)?.children ?? []].flatMap((name) => {
        const stat = tree.get(`${path}/${name}`)?.stat
        const isCounted = name !== "ready" && stat !== undefined && tree.get(`${path}-__leaving__-${name}`) === undefined
        return isCounted ? [[name, stat.czxid] as const] : []
      }))
    }

    const round = (participant: Participant, barrier: DoubleBarrier.DoubleBarrier, members: number) =>
      Effect.scoped(Effect.gen(function*() {
        const { index, randomness } = participant
        const began = moments.length
        const before = present()
        const { leave, path: own } = yield* barrier.enter
        rounds++
        const since = [before, ...moments.slice(began)]
        const name = ZnodePath.name(own)
        const enough = since.filter((moment) => moment.size >= members && moment.has(name))
        // Who says that enough are there may have seen it before we came, and some of them may have gone since.
        const isThere = (each: string) => since.some((moment) => moment.has(each))
        const isAnnounced = moments.some((moment) => moment.size >= members && Array.from(moment.keys()).some(isThere))
        if (enough.length === 0 && !isAnnounced) {
          run.violation("B2", `client${index} is through as ${name}, and there never were ${members}`)
        }
        const self: Through = { client: index, name, isLeaving: false }
        through.push(self)
        yield* Effect.addFinalizer(() => Effect.sync(() => void (self.isLeaving = true)))
        yield* Effect.sleep(randomness.between(0, randomness.pick([5, 100, 1000])))
        const others = enough.length === 0 ? [] : through.filter((each) => each !== self && enough.every((moment) => moment.has(each.name)))
        self.isLeaving = true
        yield* leave
        const now = present()
        for (const other of others) {
          const czxid = now.get(other.name)
          if (!other.isLeaving && czxid !== undefined && enough.every((moment) => moment.get(other.name) === czxid)) {
            run.violation("B2", `client${index} is out, and client${other.client}'s ${other.name} is in`)
          }
        }
      }))

    return {
      prepare: (zk) =>
        Effect.gen(function*() {
          run.ensemble.observers.push(() => void moments.push(present()))
          yield* zk.create(path)
          if (run.randomness.chance(0.3)) yield* zk.create(`${path}/ready`)
        }),
      client: (participant) =>
        Effect.gen(function*() {
          const { randomness, zk } = participant
          const members = run.participants.length
          const barrier = yield* Effect.provideService(DoubleBarrier.make(path, { members }), ZooKeeper, zk)
          const attempt = (patience: Duration.Input) =>
            expecting(
              run,
              participant,
              ["ConnectionError"],
              Effect.timeoutOption(round(participant, barrier, members), patience)
            )
          while (!participant.isOver) {
            yield* participant.pause
            yield* attempt(isPatient ? Duration.infinity : randomness.between(0, randomness.pick([300, 4000, 8000])))
          }
          done++
          // Whoever is still waiting needs the others.
          while (done < run.participants.length) yield* attempt(8000)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingBeside(run, path)
          const left = present()
          if (left.size > 0) run.violation("M9", `left: ${[...left.keys()].join()}`)
          yield* meeting.all
          yield* round(participant, barrier, members)
          yield* meeting.all
          checkNothingLeft(run, [path], false)
        }),
      check: () => undefined,
      calls: () => rounds
    }
  }
}
