import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as ServiceRegistry from "../../src/recipe/ServiceRegistry.ts"
import { eventually, faults, loseReply } from "../support/Faults.ts"
import { of } from "./clients.ts"
import { serviceRegistry } from "./serviceRegistry.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(serviceRegistry)

const isCreate = ({ opCode }: { readonly opCode: number }) => opCode === OpCode.Create || opCode === OpCode.Create2

faults("service registry: faults", (test) => {
  for (const serviceType of ["DYNAMIC", "DYNAMIC_SEQUENTIAL", "STATIC"] as const) {
    test(`${serviceType}: an instance whose creation was not answered is there once, and is removed`, (world) =>
      Effect.gen(function*() {
        const { proxy, root, witness, zk } = world
        const registry = ServiceRegistry.make(root, Schema.Finite)
        const own = { name: "svc", id: serviceType === "DYNAMIC_SEQUENTIAL" ? "web" : "own", serviceType }
        // Of another client, under the same id where that may be: they are neither taken for ours nor replaced.
        const others = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () =>
          witness.create(`${root}/svc/web`, `{"name":"svc","id":"web","payload":1}`, {
            mode: "ephemeralSequential",
            makeParents: true
          }))
        const before = yield* witness.getMany(others)
        yield* Effect.scoped(Effect.gen(function*() {
          const fault = loseReply(proxy, isCreate)
          const { path } = yield* of(zk, registry.register({ ...own, payload: 2 }))
          assert.strictEqual(fault.lost(), 1)
          assert.deepStrictEqual(
            (yield* of(witness, registry.instances("svc"))).map(({ payload }) => payload),
            [...others.map(() => 1), 2]
          )
          const { ephemeralOwner } = (yield* witness.get(path)).stat
          assert.strictEqual(ephemeralOwner, serviceType === "STATIC" ? 0n : (yield* zk.session).id)
        }))
        yield* eventually(Effect.map(witness.getChildren(`${root}/svc`), ({ length }) => length === others.length))
        assert.deepStrictEqual(yield* witness.getMany(others), before)
      }))
  }
})
