/** What a service registry promises, whatever server is behind the layer. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ServiceRegistry from "../../src/recipe/ServiceRegistry.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { record } from "../../src/testing/Recording.ts"
import { of, tests } from "./clients.ts"

const decoder = new TextDecoder()

const Weighted = Schema.Struct({ weight: Schema.Int, tags: Schema.Array(Schema.String) })

const ids = (instances: ReadonlyArray<{ readonly id: string }>): string => instances.map(({ id }) => id).join()

/** The next so many choices. */
const picks = (provider: ServiceRegistry.Provider<number>, count: number) =>
  Effect.map(Effect.replicateEffect(provider.get, count), ids)

/** The behaviours against a server; each connection is another client. */
export const serviceRegistry = (name: string, connect: Connect): void => {
  const test = tests(connect)

  describe(`${name}: ServiceRegistry`, () => {
    test("writes Curator's bytes", ({ other, root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.String)
        const { instance, path } = yield* registry.register({
          name: "svc",
          id: "i1",
          address: "h",
          port: 80,
          payload: "p"
        })
        const { registrationTimeUTC } = yield* instance
        assert.strictEqual(path, `${root}/svc/i1`)
        assert.strictEqual(
          decoder.decode((yield* other.get(path)).data),
          `{"name":"svc","id":"i1","address":"h","port":80,"sslPort":null,"payload":"p","registrationTimeUTC":${registrationTimeUTC},"serviceType":"DYNAMIC","uriSpec":null}`
        )
        const full = yield* ServiceRegistry.make(root, Weighted, { payloadClass: "com.acme.Weighted" }).register({
          name: "svc",
          id: "i2",
          sslPort: 443,
          payload: { weight: 1, tags: ["a"] },
          serviceType: "STATIC",
          uriSpec: ServiceRegistry.uriSpec("http://{address}"),
          enabled: false
        })
        assert.strictEqual(
          decoder.decode((yield* other.get(full.path)).data),
          `{"name":"svc","id":"i2","address":null,"port":null,"sslPort":443,"payload":{"@class":"com.acme.Weighted","weight":1,"tags":["a"]},"registrationTimeUTC":${
            (yield* full.instance).registrationTimeUTC
          },"serviceType":"STATIC","uriSpec":{"parts":[{"value":"http://","variable":false},{"value":"address","variable":true}]},"enabled":false}`
        )
      }))

    test("changes tell nothing twice", ({ other, root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.String)
        const changes = yield* record(
          Stream.provideService(registry.changes("svc"), ZooKeeper, yield* ZooKeeper)
        )
        yield* changes.next
        // The service is there, without instances; then with one that is no instance; then with one.
        yield* other.create(`${root}/svc`)
        yield* other.create(`${root}/svc/wrong`, "{}")
        yield* registry.register({ name: "svc", id: "i1" })
        yield* changes.upTo(({ length }) => length === 1)
        assert.deepStrictEqual(changes.seen.map(({ length }) => length), [0, 1])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")))

    test("reads what Curator writes, Java's types included, and leaves out what it cannot read", ({ other, root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Weighted)
        const put = (id: string, json: string) => other.create(`${root}/svc/${id}`, json, { makeParents: true })
        yield* put(
          "typed",
          `{"name":"svc","id":"typed","address":"h","port":80,"sslPort":null,"payload":{"@class":"com.acme.W","weight":["java.lang.Long",5],"tags":["java.util.ArrayList",["a","b"]]},"registrationTimeUTC":5,"serviceType":"PERMANENT","uriSpec":null,"enabled":true,"new":1}`
        )
        yield* put("least", `{"name":"svc","id":"least"}`)
        yield* put("empty", "")
        yield* put("wrong", `{"name":"svc","id":"wrong","payload":{"weight":"heavy"}}`)
        const instances = yield* registry.instances("svc").pipe(
          Effect.provideService(References.MinimumLogLevel, "Error")
        )
        assert.deepStrictEqual(instances, [
          {
            name: "svc",
            id: "typed",
            address: "h",
            port: 80,
            sslPort: undefined,
            payload: { weight: 5, tags: ["a", "b"] },
            registrationTimeUTC: 5,
            serviceType: "PERMANENT",
            uriSpec: undefined,
            enabled: true
          },
          {
            name: "svc",
            id: "least",
            address: undefined,
            port: undefined,
            sslPort: undefined,
            payload: undefined,
            registrationTimeUTC: 0,
            serviceType: "DYNAMIC",
            uriSpec: undefined,
            enabled: true
          }
        ])
        // A payload of ours that looks like one of Java's stays what it is.
        const plain = ServiceRegistry.make(root, Schema.Array(Schema.Unknown))
        yield* plain.register({ name: "own", id: "x", payload: ["java.lang.Long", 5] })
        assert.deepStrictEqual((yield* plain.instances("own"))[0]?.payload, ["java.lang.Long", 5])
      }))

    test("kinds of instances live as long as they say", ({ other, root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Unknown)
        const scope = yield* Scope.make()
        for (const serviceType of ["DYNAMIC", "DYNAMIC_SEQUENTIAL", "STATIC", "PERMANENT"] as const) {
          const { path } = yield* Scope.provide(registry.register({ name: "svc", id: serviceType, serviceType }), scope)
          const { ephemeralOwner } = (yield* other.get(path)).stat
          assert.strictEqual(ephemeralOwner !== 0n, serviceType.startsWith("DYNAMIC"))
          if (serviceType === "DYNAMIC_SEQUENTIAL") assert.match(path, /\/DYNAMIC_SEQUENTIAL\d{10}$/)
        }
        assert.strictEqual((yield* registry.instances("svc")).length, 4)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(ids(yield* registry.instances("svc")), "PERMANENT")
        yield* registry.unregister("svc", "PERMANENT")
        yield* registry.unregister("svc", "PERMANENT")
        assert.deepStrictEqual(yield* registry.instances("svc"), [])
        assert.deepStrictEqual(yield* registry.names, ["svc"])
        assert.deepStrictEqual(yield* registry.instances("nobody"), [])
        assert.deepStrictEqual(yield* ServiceRegistry.make(`${root}/none`, Schema.Unknown).names, [])
      }))

    test("instances with a number are removed by their id, all of them and no others", ({ client, other, root, zk }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Unknown)
        const numbered = { name: "svc", id: "web", serviceType: "DYNAMIC_SEQUENTIAL" } as const
        const one = yield* registry.register(numbered)
        const two = yield* of(other, registry.register(numbered))
        assert.notStrictEqual(one.path, two.path)
        for (const { path } of [one, two]) assert.match(path, /\/svc\/web\d{10}$/)
        // A name that looks like one of theirs, and one that holds no instance.
        yield* registry.register({ name: "svc", id: "web0123456789" })
        yield* zk.create(`${root}/svc/web0000000099`, "{}")
        const gone = [yield* zk.existsAndWatch(one.path), yield* zk.existsAndWatch(two.path)]
        yield* of(yield* client(), registry.unregister("svc", "web"))
        for (const { event } of gone) assert.strictEqual((yield* event)._tag, "NodeDeleted")
        // Their registrations live: they come back under their names.
        for (const { path } of [one, two]) {
          yield* Stream.runHead(Stream.filter(zk.changes(path), Option.isSome))
        }
        assert.includeMembers([...yield* zk.getChildren(`${root}/svc`)], ["web0000000099", "web0123456789"])
      }))

    test("consumers see instances come, change and go", ({ root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Finite)
        const changes = yield* record(
          Stream.provideService(registry.changes("svc"), ZooKeeper, yield* ZooKeeper).pipe(
            Stream.map((instances) => instances.map(({ id, payload }) => `${id}=${payload}`).join())
          )
        )
        assert.strictEqual(yield* changes.next, "")
        const scope = yield* Scope.make()
        const one = yield* registry.register({ name: "svc", id: "one", payload: 1 })
        yield* changes.upTo((state) => state === "one=1")
        yield* Scope.provide(registry.register({ name: "svc", id: "two", payload: 2 }), scope)
        yield* changes.upTo((state) => state === "one=1,two=2")
        const updated = yield* one.update({ payload: 11 })
        assert.strictEqual(updated.payload, 11)
        yield* changes.upTo((state) => state === "one=11,two=2")
        yield* Scope.close(scope, Exit.void)
        yield* changes.upTo((state) => state === "one=11")
      }))

    test("an instance replaces the one with its id that a crash has left", ({ other, root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Finite)
        const before = yield* Effect.provideService(
          registry.register({ name: "svc", id: "same", payload: 1 }),
          ZooKeeper,
          other
        )
        yield* registry.register({ name: "svc", id: "same", payload: 2 })
        assert.strictEqual((yield* registry.instances("svc"))[0]?.payload, 2)
        assert.strictEqual(before.path, `${root}/svc/same`)
      }))

    test("providers choose in turn, at random, or stay", ({ root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Finite)
        const scopes = new Map<string, Scope.Closeable>()
        const registrations = new Map<string, ServiceRegistry.Registration<number>>()
        for (const id of ["a", "b", "c"]) {
          const scope = yield* Scope.make()
          scopes.set(id, scope)
          registrations.set(id, yield* Scope.provide(registry.register({ name: "svc", id, payload: 1 }), scope))
        }
        const inTurn = yield* registry.provider("svc")
        const random = yield* registry.provider("svc", { strategy: "random" })
        const sticky = yield* registry.provider("svc", { strategy: "sticky" })
        assert.strictEqual(yield* picks(inTurn, 5), "a,b,c,a,b")
        const seeded = Random.withSeed(picks(random, 60), "seed")
        assert.strictEqual(yield* seeded, yield* seeded)
        assert.sameMembers([...new Set((yield* seeded).split(","))], ["a", "b", "c"])
        const stuck = yield* sticky.get
        assert.strictEqual(yield* picks(sticky, 3), [stuck.id, stuck.id, stuck.id].join())
        // It goes: another one is taken.
        yield* Scope.close(scopes.get(stuck.id) ?? (yield* Scope.make()), Exit.void)
        while ((yield* sticky.all).length > 2) yield* Effect.sleep(5)
        const next = yield* sticky.get
        assert.notStrictEqual(next.id, stuck.id)
        assert.strictEqual((yield* sticky.get).id, next.id)
        // It is disabled: it is not chosen any more.
        yield* registrations.get(next.id)?.update({ enabled: false }) ?? Effect.void
        while ((yield* sticky.all).length > 1) yield* Effect.sleep(5)
        const last = yield* sticky.get
        assert.notInclude([stuck.id, next.id], last.id)
        // It cannot be reached: twice, and it is not chosen either.
        yield* sticky.noteError(last)
        assert.strictEqual((yield* sticky.get).id, last.id)
        yield* sticky.noteError(last)
        const none = yield* Effect.flip(sticky.get)
        assert.strictEqual(none._tag, "NoInstances")
        const forgiving = yield* registry.provider("svc", { downFor: "1 millis", filter: ({ id }) => id === last.id })
        yield* forgiving.noteError(last)
        yield* forgiving.noteError(last)
        yield* Effect.sleep("10 millis")
        assert.strictEqual((yield* forgiving.get).id, last.id)
        for (const scope of scopes.values()) yield* Scope.close(scope, Exit.void)
      }))

    test("URIs are made of instances", ({ root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Schema.Unknown)
        const { instance } = yield* registry.register({
          name: "svc",
          id: "x",
          address: "h",
          port: 80,
          uriSpec: ServiceRegistry.uriSpec("{scheme}://{address}:{port}/{name}/{id}?{nothing}{[}{]}")
        })
        assert.deepStrictEqual(ServiceRegistry.uriOf(yield* instance), Option.some("http://h:80/svc/x?{}"))
        const [read] = yield* registry.instances("svc")
        assert.deepStrictEqual(read?.uriSpec, (yield* instance).uriSpec)
        assert.deepStrictEqual(ServiceRegistry.uriOf({ ...(yield* instance), uriSpec: undefined }), Option.none())
      }))

    test("bad names and payloads are refused", ({ root }) =>
      Effect.gen(function*() {
        const registry = ServiceRegistry.make(root, Weighted)
        const named = yield* Effect.flip(Effect.scoped(registry.register({ name: "a/b" })))
        assert.strictEqual(named._tag, "BadArguments")
        const identified = yield* Effect.flip(Effect.scoped(registry.register({ name: "a", id: "." })))
        assert.strictEqual(identified._tag, "BadArguments")
        const payload = yield* Effect.flip(
          Effect.scoped(registry.register({ name: "a", payload: { weight: 0.5, tags: [] } }))
        )
        assert.strictEqual(payload._tag, "InvalidData")
        assert.deepStrictEqual(yield* registry.names, [])
      }))
  })
}
