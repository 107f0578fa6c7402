import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as NodeTransport from "../../src/client/NodeTransport.ts"

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length

describe("NodeTransport", () => {
  it.live("a socket whose peer does not read any more is gone when its scope is", () =>
    Effect.gen(function*() {
      const accepted = new Set<Net.Socket>()
      const server = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const listening = Net.createServer({ pauseOnConnect: true }, (socket) => accepted.add(socket.on("error", () => {})))
          listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
        }),
        (listening) =>
          Effect.sync(() => {
            for (const socket of accepted) socket.destroy()
            listening.close()
          })
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const before = sockets()
      yield* Effect.scoped(Effect.gen(function*() {
        const socket = yield* NodeTransport.dial({ host: "127.0.0.1", port })
        yield* socket.reader
        const writer = yield* socket.writer
        yield* Effect.forkChild(Effect.ignore(writer.write(new Uint8Array(64 * 1024 * 1024))), { startImmediately: true })
        while (accepted.size === 0) yield* Effect.sleep(1)
      }))
      // The server's own end is left.
      while (sockets() > before + 1) yield* Effect.sleep(1)
      assert.isAtMost(sockets(), before + 1)
    }))
})
