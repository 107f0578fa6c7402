/** Peers that mean no good, on the TCP port: the server keeps serving others, and nothing of them remains. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, type Socket } from "node:net"
import * as MemoryZooKeeper from "../../src/MemoryZooKeeper.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"

interface World {
  readonly server: MemoryZooKeeper.Service
  /** A client that was there before, and must be served throughout. */
  readonly zk: ZooKeeper.Service
}

const test = <E>(title: string, body: (world: World) => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const server = yield* MemoryZooKeeper.listen({ port: 0, handshakeTimeout: 1000 })
      const zk = yield* ZooKeeper.make({ hosts: server.hosts })
      const { id } = yield* zk.session
      yield* zk.create("/good", "x")
      yield* body({ server, zk })
      assert.strictEqual((yield* zk.session).id, id)
      yield* zk.set("/good", "y")
      yield* untilAlone(server)
      const { sessions, watches } = yield* server.test.dump
      assert.deepStrictEqual(sessions.map((session) => session.id), [id])
      assert.deepStrictEqual(watches, [])
    }), 60_000)

/** Only the client that is good is still connected. */
const untilAlone = (server: MemoryZooKeeper.Service) =>
  Effect.repeat(server.test.connections, { until: (count) => count === 1, schedule: undefined }).pipe(
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die("connections remain") })
  )

/** Sends, and waits until the server has hung up, or hangs up where the server waits for more. */
const attack = (port: number, bytes: Uint8Array, patience = 0) =>
  Effect.callback<void>((resume) => {
    const socket: Socket = connect({ port, host: "127.0.0.1" })
    socket.on("error", () => {})
    socket.on("data", () => {})
    socket.on("close", () => resume(Effect.void))
    socket.on("connect", () => {
      socket.write(bytes)
      if (patience > 0) setTimeout(() => socket.destroy(), patience)
    })
    return Effect.sync(() => void socket.destroy())
  })

/** Small, fast and the same in each run. */
const noise = (seed: number, size: number): Uint8Array => {
  let state = seed * 2654435761 >>> 0
  return Uint8Array.from({ length: size }, () => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 >>> 0
    return state >>> 24
  })
}

const frame = (length: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(4 + payload.length)
  new DataView(bytes.buffer).setInt32(0, length)
  bytes.set(payload, 4)
  return bytes
}

const handshake = frame(45, Uint8Array.from({ length: 45 }, (_, index) => index === 14 ? 0x27 : index === 15 ? 0x10 : index === 27 ? 16 : 0))

const joined = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

describe("hostile peers", () => {
  test("random bytes, before and behind a handshake", ({ server }) =>
    Effect.forEach(Array.from({ length: 500 }, (_, seed) => seed), (seed) =>
      attack(
        server.port,
        seed % 2 === 0 ? noise(seed, 1 + seed) : joined(handshake, frame(1 + seed, noise(seed, 1 + seed))),
        // Some announce more than comes.
        50
      ), { concurrency: 20, discard: true }).pipe(
        // Their sessions, where they got one, are not theirs to keep.
        Effect.andThen(untilAlone(server)),
        Effect.andThen(server.test.dump),
        Effect.andThen(({ sessions }) =>
          Effect.forEach(sessions, ({ connected, id }) =>
            connected ? Effect.void : server.test.of(id).expireSession, { discard: true }))
      ))

  for (const length of [0, -1, -2147483648, 1_048_576, 2147483647]) {
    test(`a length of ${length} costs the connection at once`, ({ server }) =>
      attack(server.port, frame(length, noise(1, 100))))
  }

  test("half a handshake left open is given up", ({ server }) =>
    Effect.forEach(Array.from({ length: 44 }, (_, size) => size), (size) =>
      attack(server.port, handshake.subarray(0, size)), { concurrency: 44, discard: true }))

  test("a megabyte in single bytes is no burden", ({ server, zk }) =>
    Effect.gen(function*() {
      yield* server.test.splitBytes()
      yield* zk.set("/good", new Uint8Array(200_000))
      assert.strictEqual((yield* zk.get("/good")).data.length, 200_000)
      yield* server.test.heal
    }))

  test("10 000 connections opened and dropped", ({ server }) =>
    Effect.forEach(Array.from({ length: 10_000 }, (_, index) => index), (index) =>
      attack(server.port, index % 3 === 0 ? handshake.subarray(0, 20) : new Uint8Array(0), 1), {
      concurrency: 100,
      discard: true
    }))

  test("one that asks and never reads is not served beyond its share", ({ server, zk }) =>
    Effect.gen(function*() {
      yield* zk.create("/large", new Uint8Array(500_000))
      const get = frame(18, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 6, ...new TextEncoder().encode("/large")))
      const socket = yield* Effect.acquireRelease(
        Effect.callback<Socket>((resume) => {
          const opened: Socket = connect({ port: server.port, host: "127.0.0.1" }, () => resume(Effect.succeed(opened)))
          opened.on("error", () => {})
          opened.pause()
        }),
        (opened) => Effect.sync(() => void opened.destroy())
      )
      const before = process.memoryUsage().rss
      const request = new Uint8Array(19 + 4)
      request.set(joined(get, Uint8Array.of(0)))
      new DataView(request.buffer).setInt32(0, 19)
      socket.write(joined(handshake, ...Array.from({ length: 2000 }, () => request)))
      yield* Effect.forEach(Array.from({ length: 50 }), () => zk.get("/good"), { discard: true })
      yield* Effect.sleep("300 millis")
      // All of it would be a gigabyte.
      assert.isBelow(process.memoryUsage().rss - before, 400_000_000)
      socket.destroy()
      yield* Effect.sleep("50 millis")
      const { sessions } = yield* server.test.dump
      yield* Effect.forEach(sessions, ({ connected, id }) => connected ? Effect.void : server.test.of(id).expireSession)
    }))
})
