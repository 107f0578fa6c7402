import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as Calls from "../../src/client/Calls.ts"
import { Connection } from "../../src/client/Connection.ts"
import { dial } from "../../src/client/NodeTransport.ts"
import { Pending, xidAfter } from "../../src/client/Request.ts"
import { ConnectionError, ConnectionLoss } from "../../src/ZooKeeperError.ts"
import { proxy, shared } from "../support/Clients.ts"

describe.skipIf(shared === undefined)("Connection", () => {
  it.live("xids roll over from 2147483647 to 1, and requests keep working", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const clock = yield* Clock.Clock
      let xid = 0x7fff_ffff - 3
      const connection = new Connection({
        clock,
        limits: { maxRequestSize: 1 << 20, maxReplySize: 1 << 20, requestTimeout: 0 },
        nextXid: () => xid = xidAfter(xid),
        listener: {
          proven: () => {},
          zxid: () => {},
          notified: () => {},
          answered: () => {},
          interrupted: () => new ConnectionLoss({ detail: "closed" })
        }
      })
      const socket = yield* dial({ host: "127.0.0.1", port: via.port })
      const { response, serve } = yield* connection.open(socket, {
        protocolVersion: 0,
        lastZxidSeen: 0n,
        timeOut: 4000,
        sessionId: 0n,
        passwd: new Uint8Array(16),
        readOnly: false
      })
      assert.strictEqual(response.timeOut, 4000)
      yield* Effect.forkScoped(serve(4000, () => Infinity, Effect.void))
      const get = Effect.callback<unknown, ConnectionError>((resume) =>
        connection.enqueue(Pending.make(Calls.existsOrNot, { path: "/", watch: false }, { path: "/" }, (exit) => {
          resume(exit._tag === "Success" ? Effect.succeed(exit.value) : Effect.die(exit.cause))
        }))
      )
      yield* Effect.forEach(Array.from({ length: 6 }), () => get)
      assert.deepStrictEqual(via.requests.slice(1).map((request) => request.xid), [
        0x7fff_fffd,
        0x7fff_fffe,
        0x7fff_ffff,
        1,
        2,
        3
      ])
    }))
})
