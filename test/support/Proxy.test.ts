import { assert, describe, inject, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import { connect, createServer, type Server, type Socket } from "node:net"
import * as Proxy from "./Proxy.ts"
import { fourLetterWord } from "./ZooKeeperServer.ts"

const pingOpCode = 11
const createOpCode = 1

describe("Proxy", () => {
  it.live("passes frames both ways and writes down what it saw", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      client.send(request(1, createOpCode))
      assert.strictEqual(xidOf(yield* client.next), 1)
      assert.deepStrictEqual(proxy.requests.map(({ opCode, xid }) => [xid, opCode]), [
        [0, Proxy.connectOpCode],
        [1, createOpCode]
      ])
      assert.deepStrictEqual(proxy.replies.map(({ opCode, zxid }) => [opCode, zxid]), [
        [Proxy.connectOpCode, 0n],
        [createOpCode, 7n]
      ])
      assert.strictEqual(proxy.live(), 1)
    }))

  it.live("loses a reply whose request was processed", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      proxy.onReply(({ opCode }) => opCode === createOpCode ? { _tag: "Cut" } : undefined)
      client.send(request(1, createOpCode))
      assert.strictEqual(yield* client.ended, "fin")
      assert.deepStrictEqual(server.received, [1])
      assert.strictEqual(yield* Queue.size(client.frames), 0)
      assert.strictEqual(proxy.live(), 0)
    }))

  it.live("loses a request", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      proxy.onRequest(({ xid }) => xid === 2 ? { _tag: "Cut" } : undefined)
      client.send(request(1, createOpCode))
      yield* client.next
      client.send(request(2, createOpCode))
      yield* client.ended
      assert.deepStrictEqual(server.received, [1])
    }))

  it.live("forwards and then cuts, after the frame and nothing else", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.onReply(({ xid }) => xid === 1 ? { _tag: "ForwardThenCut" } : undefined)
      client.send(Buffer.concat([request(1, createOpCode), request(2, createOpCode)]))
      assert.strictEqual(xidOf(yield* client.next), 1)
      assert.strictEqual(yield* client.ended, "fin")
      assert.strictEqual(yield* Queue.size(client.frames), 0)
    }))

  it.live("holds a frame and what is behind it until it is released", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.onReply(({ xid }) => xid === 1 ? { _tag: "Hold" } : undefined)
      client.send(Buffer.concat([request(1, createOpCode), request(2, createOpCode)]))
      yield* proxy.waitForReply(({ xid }) => xid === 2)
      assert.strictEqual(proxy.held(), 1)
      assert.strictEqual(yield* Queue.size(client.frames), 0)
      proxy.release()
      assert.deepStrictEqual([xidOf(yield* client.next), xidOf(yield* client.next)], [1, 2])
    }))

  it.live("drops, replaces and tears frames", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.onReply(({ xid }) => {
        if (xid === 1) return { _tag: "Drop" }
        if (xid === 2) return { _tag: "Replace", bytes: Proxy.encodeReply({ xid: 20, err: -101 }) }
        return { _tag: "Raw", bytes: Buffer.from([0, 0, 0, 2, 8, 8]) }
      })
      for (const xid of [1, 2, 3]) client.send(request(xid, createOpCode))
      assert.strictEqual(xidOf(yield* client.next), 20)
      assert.deepStrictEqual([...yield* client.next], [8, 8])
    }))

  it.live("answers in the server's place, like an older one that does not know an operation", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      const forget = proxy.onRequest(({ opCode, xid }) =>
        opCode === 22 ? { _tag: "Answer", bytes: Proxy.encodeReply({ xid, err: -6 }), close: true } : undefined
      )
      client.send(request(1, 22))
      assert.strictEqual((yield* client.next).readInt32BE(12), -6)
      yield* client.ended
      forget()
      const again = yield* dial(proxy.port)
      again.send(handshake)
      yield* again.next
      again.send(request(2, 22))
      assert.strictEqual((yield* again.next).readInt32BE(12), 0)
      assert.deepStrictEqual(server.received, [2])
    }))

  it.live("freezes one direction and delivers late", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      proxy.freeze("toClient")
      client.send(request(1, createOpCode))
      yield* proxy.waitForReply(({ xid }) => xid === 1)
      assert.deepStrictEqual(server.received, [1])
      assert.strictEqual(yield* Queue.size(client.frames), 0)
      proxy.freeze("both")
      client.send(request(2, createOpCode))
      yield* proxy.waitForRequest(({ xid }) => xid === 2)
      assert.deepStrictEqual(server.received, [1])
      proxy.thaw()
      assert.deepStrictEqual([xidOf(yield* client.next), xidOf(yield* client.next)], [1, 2])
    }))

  it.live("cuts by FIN and by RST, and delivers nothing that was frozen", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      const other = yield* dial(proxy.port)
      yield* proxy.waitForConnection(2)
      proxy.freeze("both")
      client.send(request(1, createOpCode))
      yield* proxy.waitForRequest(({ xid }) => xid === 1)
      proxy.cut("reset")
      proxy.thaw()
      assert.strictEqual(yield* client.ended, "reset")
      assert.strictEqual(yield* other.ended, "reset")
      assert.strictEqual(yield* Queue.size(client.frames), 0)

      const third = yield* dial(proxy.port)
      yield* proxy.waitForConnection(3)
      proxy.cut()
      assert.strictEqual(yield* third.ended, "fin")
    }))

  it.live("refuses new connections only", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      yield* proxy.refuse(true)
      assert.isTrue(Result.isFailure(yield* Effect.result(dial(proxy.port))))
      client.send(request(1, createOpCode))
      assert.strictEqual(xidOf(yield* client.next), 1)
      yield* proxy.refuse(false)
      yield* dial(proxy.port)
    }))

  it.live("accepts and stays mute", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.mute(true)
      const deaf = yield* dial(proxy.port)
      deaf.send(handshake)
      yield* proxy.waitForRequest(({ connection }) => connection === 2)
      client.send(request(1, createOpCode))
      yield* client.next
      assert.strictEqual(yield* Queue.size(deaf.frames), 0)
      deaf.close()
      yield* proxy.until(() => proxy.live() === 1)
    }))

  it.live("writes single bytes, in both directions", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      proxy.splitBytes(true)
      const before = client.chunks()
      client.send(Buffer.concat([request(1, createOpCode), request(2, createOpCode)]))
      assert.deepStrictEqual([xidOf(yield* client.next), xidOf(yield* client.next)], [1, 2])
      assert.deepStrictEqual(server.received, [1, 2])
      assert.isAtLeast(client.chunks() - before, 20)
    }))

  it.live("cuts after a number of bytes", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      const before = client.bytes()
      proxy.cutAfterBytes(25, "toClient")
      client.send(Buffer.concat([request(1, createOpCode), request(2, createOpCode)]))
      yield* client.ended
      assert.strictEqual(client.bytes() - before, 25)
      assert.strictEqual(yield* Queue.size(client.frames), 1)
    }))

  it.live("delays, in order", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.delay(30)
      const start = performance.now()
      client.send(request(1, createOpCode))
      client.send(request(2, createOpCode))
      assert.deepStrictEqual([xidOf(yield* client.next), xidOf(yield* client.next)], [1, 2])
      assert.isAtLeast(performance.now() - start, 59)
    }))

  it.live("injects frames", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* connected
      proxy.inject(Proxy.encodeReply({ xid: -1 }))
      assert.strictEqual(xidOf(yield* client.next), -1)
    }))

  it.live("passes on that the server has closed, and routes elsewhere", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* connected
      server.close()
      assert.strictEqual(yield* client.ended, "fin")
      proxy.route((yield* fakeServer).port)
      const again = yield* dial(proxy.port)
      again.send(handshake)
      yield* again.next
    }))

  const hosts = inject("zookeeper")
  it.live.skipIf(hosts === undefined)("stands in front of a server", () =>
    Effect.gen(function*() {
      const proxy = yield* Proxy.make(hosts ?? "")
      assert.strictEqual(yield* fourLetterWord(proxy.port, "ruok"), "imok")
      assert.strictEqual(yield* fourLetterWord(proxy.port, "isro"), "rw")
      assert.lengthOf(proxy.requests, 0)

      const client = yield* dial(proxy.port)
      client.send(handshake)
      const response = yield* client.next
      assert.isAbove(response.readInt32BE(4), 0, "negotiated timeout")
      client.send(request(-2, pingOpCode))
      assert.strictEqual(xidOf(yield* client.next), -2)
      assert.strictEqual((yield* proxy.waitForReply(({ xid }) => xid === -2)).opCode, pingOpCode)
    }))
})

const framed = (...parts: ReadonlyArray<Buffer>): Buffer => {
  const payload = Buffer.concat(parts)
  return Buffer.concat([int(payload.length), payload])
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const request = (xid: number, opCode: number): Buffer => framed(int(xid), int(opCode))

// Protocol version 0, zxid 0, 10 s, no session, a password of zeros.
const handshake = framed(int(0), Buffer.alloc(8), int(10_000), Buffer.alloc(8), int(16), Buffer.alloc(16))

const xidOf = (frame: Buffer): number => frame.readInt32BE(0)

const onFrames = (socket: Socket, listener: (frame: Buffer) => void): void => {
  let rest: Buffer = Buffer.alloc(0)
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      listener(rest.subarray(4, end))
      rest = rest.subarray(end)
    }
  })
}

/** Answers the handshake with zeros and every request with a bare header. */
const fakeServer = Effect.acquireRelease(
  Effect.callback<{ port: number; received: Array<number>; close: () => void; listener: Server }>((resume) => {
    const received: Array<number> = []
    const sockets = new Set<Socket>()
    const listener = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => sockets.delete(socket))
      let isConnected = false
      onFrames(socket, (frame) => {
        if (isConnected) received.push(xidOf(frame))
        const header = isConnected ? Proxy.encodeReply({ xid: xidOf(frame), zxid: 7n }) : new Uint8Array(37)
        socket.write(framed(Buffer.from(header)))
        isConnected = true
      })
    })
    listener.listen(0, "127.0.0.1", () => {
      const address = listener.address()
      const port = address !== null && typeof address === "object" ? address.port : 0
      resume(Effect.succeed({ port, received, close: () => sockets.forEach((socket) => socket.end()), listener }))
    })
  }),
  ({ listener }) => Effect.sync(() => listener.close())
)

const dial = Effect.fnUntraced(function*(port: number) {
  const frames = yield* Queue.unbounded<Buffer>()
  const ended = yield* Deferred.make<"fin" | "reset">()
  let chunks = 0
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Socket, Error>((resume) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true })
      socket.once("error", (error) => resume(Effect.fail(error)))
      socket.once("connect", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  onFrames(socket, (frame) => Queue.offerUnsafe(frames, frame))
  socket.on("data", () => chunks++)
  socket.on("end", () => Deferred.doneUnsafe(ended, Effect.succeed("fin")))
  socket.on("error", () => Deferred.doneUnsafe(ended, Effect.succeed("reset")))
  return {
    frames,
    next: Queue.take(frames),
    ended: Deferred.await(ended),
    chunks: () => chunks,
    bytes: () => socket.bytesRead,
    send: (bytes: Buffer) => void socket.write(bytes),
    close: () => void socket.destroy()
  }
})

/** A client whose handshake is done, through a proxy, to a server of ours. */
const connected = Effect.gen(function*() {
  const server = yield* fakeServer
  const proxy = yield* Proxy.make(server.port)
  const client = yield* dial(proxy.port)
  client.send(handshake)
  yield* client.next
  return { client, proxy, server }
})
