/**
 * Members of a group come and go, change their payloads, and stand in each
 * other's way by their ids. Each counts itself all the time, with its last payload
 * though somebody deletes its znode; in the end everybody knows the payload of
 * whoever is in it, and of nobody else.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as GroupMember from "../../../src/recipe/GroupMember.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingLeft, expecting, Meeting } from "../Holding.ts"
import type { Workload } from "../Simulation.ts"

const path = "/group"
const text = new TextDecoder()

type Payloads = ReadonlyMap<string, Uint8Array>

const show = (members: Payloads): string =>
  Array.from(members, ([id, data]) => `${id}=${text.decode(data)}`).toSorted().join()

export const groupMemberWorkload: Workload = {
  name: "groupMember",
  duration: 8000,
  make: (run) => {
    run.pace = 800
    const meeting = new Meeting(run)
    const isMeddledWith = run.randomness.chance(0.5)
    /** All that was ever to be a payload, by id. */
    const told = new Set<string>()
    const kept = new Map<string, Uint8Array>()
    let calls = 0

    const payload = (id: string): string => {
      const data = `p${++calls}`
      told.add(`${id}=${data}`)
      return data
    }

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const who = `client${index}`
          const join = (id: string, existing: "wait" | "replace") =>
            Effect.suspend(() => GroupMember.join(path, { id, data: payload(id), existing }))
          let isSettled = false
          const check = (members: Payloads): void => {
            const own = members.get(id)
            if (own === undefined || isSettled && text.decode(own) !== text.decode(kept.get(id))) {
              run.violation("G3", `${who} is in ${show(members)}`)
            }
            for (const each of show(members).split(",")) {
              if (!told.has(each)) run.violation("G4", `${who} is told of ${each}`)
            }
          }
          const id = `kept-${index}`
          // Some want an id that others want as well, and give up at any moment.
          for (let attempt = 0; attempt < 2; attempt++) {
            const existing = randomness.pick(["wait", "replace"])
            const stay = Effect.andThen(join("passing", existing), Effect.sleep(randomness.between(0, 500)))
            yield* Effect.timeoutOption(Effect.scoped(stay), randomness.between(1, randomness.pick([30, 500, 3000])))
          }
          const scope = yield* Scope.make()
          const member = yield* Scope.provide(join(id, "wait"), scope)
          let seen: Payloads = new Map()
          yield* Effect.forkIn(
            expecting(run, participant, [], Stream.runForEach(member.changes, (members) =>
              Effect.sync(() => {
                check(members)
                seen = members
              }))),
            scope
          )
          while (!participant.isOver) {
            yield* participant.pause
            check(yield* member.members)
            if (isMeddledWith && randomness.chance(0.3)) {
              const others = [...run.ensemble.leader.server.tree.get(path)?.children ?? []]
              const other = others[randomness.below(Math.max(1, others.length))]
              if (other !== undefined) yield* Effect.ignore(zk.delete(`${path}/${other}`))
            } else {
              const data = payload(id)
              // What is not yet written will be.
              yield* Effect.timeoutOption(member.set(data), randomness.between(1, 1000))
              kept.set(id, new TextEncoder().encode(data))
            }
          }
          if (!kept.has(id)) {
            const data = payload(id)
            yield* member.set(data)
            kept.set(id, new TextEncoder().encode(data))
          }
          yield* meeting.all
          yield* Effect.sleep(run.recovery + 5000)
          const expected = show(kept)
          for (const found of [show(yield* member.members), show(seen)]) {
            if (found !== expected) run.violation("G2", `${who} knows of ${found} in the end, and there are ${expected}`)
          }
          yield* meeting.all
          isSettled = true
          yield* Effect.ignore(zk.delete(`${path}/${id}`))
          check(yield* member.members)
          yield* Effect.sleep(1000)
          yield* meeting.all
          if (index > 0) yield* Scope.close(scope, Exit.void)
          yield* meeting.all
          yield* Effect.sleep(1000)
          if (index > 0) return
          const last = `${id}=${text.decode(kept.get(id))}`
          if (show(seen) !== last) run.violation("G2", `${who} knows of ${show(seen)}, and is alone`)
          yield* Scope.close(scope, Exit.void)
          checkNothingLeft(run, [path], false)
        }).pipe((client) => Effect.suspend(() => Effect.provideService(client, ZooKeeper, participant.zk))),
      check: () => undefined,
      calls: () => calls
    }
  }
}
