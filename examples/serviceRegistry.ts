/**
 * Two instances of a service announce themselves; a client follows the service,
 * takes turns, and notices when one of them goes.
 *
 * Start a server, then: `ZK_HOSTS=127.0.0.1:2181 node examples/serviceRegistry.ts`
 */
import { Console, Effect, Exit, Option, Schema, Scope, Stream } from "effect"
import * as ServiceRegistry from "../src/recipe/ServiceRegistry.ts"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const base = yield* Effect.acquireRelease(
    zk.create("/services-", "", { mode: "persistentSequential" }),
    (path) => Effect.ignore(zk.deleteRecursive(path))
  )
  const registry = ServiceRegistry.make(base, Schema.Struct({ zone: Schema.String }))
  const uriSpec = ServiceRegistry.uriSpec("{scheme}://{address}:{port}/")

  /** Registered as long as the scope lives, whatever happens to connections and sessions. */
  const serve = (id: string, port: number) =>
    registry.register({ name: "greeter", id, address: "127.0.0.1", port, payload: { zone: "a" }, uriSpec })

  yield* serve("one", 8001)
  const two = yield* Scope.fork(yield* Scope.Scope)
  yield* Scope.provide(serve("two", 8002), two)

  const provider = yield* registry.provider("greeter")
  for (let call = 0; call < 4; call++) {
    const instance = yield* provider.get
    yield* Console.log(`call ${call}: ${Option.getOrElse(ServiceRegistry.uriOf(instance), () => instance.id)}`)
  }

  yield* Scope.close(two, Exit.void)
  const rest = yield* registry.changes("greeter").pipe(
    Stream.filter((instances) => instances.length === 1),
    Stream.runHead
  )
  yield* Console.log(`left: ${Option.getOrThrow(rest).map(({ id }) => id).join()}`)
})

program.pipe(
  Effect.scoped,
  Effect.provide(ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" })),
  Effect.runPromise
)
