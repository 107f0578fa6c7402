/** The shortest way to the in-memory server: a socket in the same process, on which nothing goes wrong. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Host } from "../../src/ConnectionString.ts"
import type { Peer, Server } from "../../src/memory/Server.ts"

const closed = (code: number) => Cause.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) }))

export const dial = (server: Server) => ({ host, port }: Host): Effect.Effect<Socket.Socket> =>
  Effect.sync(() => {
    let peer: Peer | undefined
    const write = (chunk: Uint8Array | string | Socket.CloseEvent) =>
      Effect.sync(() => {
        if (typeof chunk === "string") peer?.receive(new TextEncoder().encode(chunk))
        else if (chunk instanceof Uint8Array) peer?.receive(chunk)
        else peer?.closed()
      })
    return Socket.make({
      reader: Effect.gen(function*() {
        const inbox = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
        const opened = server.accept({
          remoteAddress: "127.0.0.1",
          listener: `${host}:${port}`,
          send: (bytes) => void Queue.offerUnsafe(inbox, bytes),
          close: () => void Queue.failCauseUnsafe(inbox, closed(1000))
        })
        peer = opened
        yield* Scope.addFinalizer(
          yield* Effect.scope,
          Effect.sync(() => {
            opened.closed()
            Queue.failCauseUnsafe(inbox, closed(1006))
          })
        )
        return { pull: Queue.takeAll(inbox), upgrade: Socket.SocketUpgradeError.unsupported }
      }),
      writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
    })
  })
