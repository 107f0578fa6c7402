/**
 * Instances announce themselves, change what they say and are given up, while
 * others unregister them. Consumers are told of nothing that nobody has
 * announced; in the end they know what is announced, and nothing of what is not.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ServiceRegistry from "../../../src/recipe/ServiceRegistry.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingLeft, expecting, Meeting } from "../Holding.ts"
import type { Participant, Workload } from "../Simulation.ts"

const service = "greeter"
const path = `/services/${service}`
const types = ["DYNAMIC", "DYNAMIC_SEQUENTIAL", "STATIC", "PERMANENT"] as const

const registry = ServiceRegistry.make("/services", Schema.Struct({ weight: Schema.Int }))
type Instance = ServiceRegistry.ServiceInstance<{ readonly weight: number }>

const show = ({ id, payload, port, serviceType }: Instance): string => `${id} ${serviceType} :${port} of ${payload?.weight}`
const showAll = (instances: ReadonlyArray<Instance>): string => instances.map(show).toSorted().join()

export const serviceRegistryWorkload: Workload = {
  name: "serviceRegistry",
  duration: 8000,
  make: (run) => {
    run.pace = 1000
    const meeting = new Meeting(run)
    const isMeddledWith = run.randomness.chance(0.5)
    /** All that was ever to be announced. */
    const announced = new Set<string>()
    /** Ids of those that no end of a session takes away. */
    const steady = new Set<string>()
    const kept: Array<Instance> = []
    /** That stay though nobody keeps them. */
    const permanent: Array<Instance> = []
    let calls = 0

    const checkAnnounced = (who: string, instances: ReadonlyArray<Instance>): void => {
      for (const instance of instances) {
        if (!announced.has(show(instance))) run.violation("R1", `${who} finds ${show(instance)}, which nobody has announced`)
      }
    }

    /** Somebody who unregisters what others keep. */
    const meddle = ({ randomness }: Participant) =>
      Effect.suspend(() => {
        const ids = [...run.ensemble.leader.server.tree.get(path)?.children ?? []].filter((each) => each.startsWith("kept"))
        const id = ids[randomness.below(Math.max(1, ids.length))]
        return id === undefined ? Effect.void : Effect.ignore(registry.unregister(service, id))
      })

    const register = ({ randomness }: Participant, id: string) =>
      Effect.suspend(() => {
        const serviceType = randomness.pick(types)
        const port = 1000 + randomness.below(1000)
        const weight = ++calls
        announced.add(`${id} ${serviceType} :${port} of ${weight}`)
        return registry.register({ name: service, id, port, payload: { weight }, serviceType })
      })

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness } = participant
          const who = `client${index}`
          let seen: ReadonlyArray<Instance> = []
          yield* Effect.forkScoped(expecting(
            run,
            participant,
            [],
            Stream.runForEach(registry.changes(service), (instances) =>
              Effect.sync(() => {
                checkAnnounced(who, instances)
                const gone = seen.find(({ id }) => steady.has(id) && !instances.some((each) => each.id === id))
                if (gone !== undefined) run.violation("R2", `${who} sees ${gone.id} blink`)
                seen = instances
              }))
          ))
          const provider = yield* registry.provider(service, { strategy: randomness.pick(["roundRobin", "random", "sticky"]) })
          // Some are begun and given up at any moment.
          for (let attempt = 0; attempt < 2; attempt++) {
            const patience = randomness.between(1, randomness.pick([500, 5000]))
            const passing = Effect.gen(function*() {
              const { instance } = yield* register(participant, `passing-${index}-${attempt}`)
              const registered = yield* instance
              if (registered.serviceType === "PERMANENT") permanent.push(registered)
              yield* Effect.sleep(100)
            })
            yield* Effect.timeoutOption(Effect.scoped(passing), patience)
          }
          const scope = yield* Scope.make()
          const registration = yield* Scope.provide(register(participant, `kept-${index}`), scope)
          const { id, serviceType } = yield* registration.instance
          if (!isMeddledWith && !serviceType.startsWith("DYNAMIC")) steady.add(id)
          while (!participant.isOver) {
            yield* participant.pause
            const chosen = yield* Effect.option(provider.get)
            checkAnnounced(who, chosen._tag === "Some" ? [chosen.value] : [])
            if (isMeddledWith && randomness.chance(0.5)) yield* meddle(participant)
            else {
              const before = yield* registration.instance
              const changes = randomness.chance(0.5) ? { payload: { weight: ++calls } } : { port: 1000 + randomness.below(1000) }
              announced.add(show({ ...before, ...changes }))
              // What is not yet written will be.
              yield* Effect.timeoutOption(registration.update(changes), randomness.between(1, 1000))
            }
          }
          yield* meeting.all
          yield* Effect.sleep(run.recovery + 5000)
          kept[index] = yield* registration.instance
          yield* meeting.all
          const compare = (how: string, found: ReadonlyArray<Instance>) => {
            const expected = showAll([...kept, ...permanent])
            if (showAll(found) !== expected) run.violation("R3", `${who} ${how} ${showAll(found)} in the end, and there are ${expected}`)
          }
          compare("reads", yield* registry.instances(service))
          compare("was told of", seen)
          compare("may choose", yield* provider.all)
          yield* meeting.all
          steady.delete(id)
          yield* Scope.close(scope, Exit.void)
          if (serviceType === "PERMANENT") permanent.push(yield* registration.instance)
          const isLeft = run.ensemble.leader.server.tree.get(registration.path) !== undefined
          if (isLeft !== (serviceType === "PERMANENT")) run.violation("R4", `${who}'s ${serviceType} is ${isLeft ? "left" : "gone"}`)
          yield* meeting.all
          yield* Effect.forEach(permanent, ({ id }) => registry.unregister(service, id), { discard: true })
          yield* meeting.all
          yield* Effect.sleep(1000)
          checkNothingLeft(run, [path], false)
          if (seen.length > 0) run.violation("R3", `${who} was told of ${showAll(seen)} last, and there is none`)
        }).pipe((client) => Effect.suspend(() => Effect.provideService(client, ZooKeeper, participant.zk))),
      check: () => undefined,
      calls: () => calls
    }
  }
}
