/**
 * Opens and closes clients of the servers that it is given, says what is left,
 * and ends, if nothing keeps it from ending. Run by `client/Session.test.ts`.
 */
import * as Effect from "effect/Effect"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { countingFibers, handles } from "./Alive.ts"

const [hosts = "", cycles = ""] = process.argv.slice(2)

const cycle = Effect.scoped(Effect.flatMap(ZooKeeper.make({ hosts }), (zk) => zk.getAndWatch("/")))

const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Node ends a socket some turns of its loop after its owner has. */
const settled = Effect.repeat(Effect.andThen(turn, Effect.sync(handles)), {
  while: (left) => "TCPSocketWrap" in left || "SimpleShutdownWrap" in left
})

const left = countingFibers((alive) =>
  Effect.gen(function*() {
    yield* cycle
    const before = yield* settled
    yield* Effect.forEach(Array.from({ length: Number(cycles) }), () => cycle, { concurrency: 10, discard: true })
    return { fibers: alive(), before, after: yield* settled }
  })
)

console.log(JSON.stringify(await Effect.runPromise(left)))
