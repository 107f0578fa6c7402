/** What clients of the in-memory server cannot see by themselves, or only with frames that no client sends. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import * as Jute from "../../src/jute/Jute.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import { compats } from "../../src/memory/Release.ts"
import { type Compat, make, type Options, Server } from "../../src/memory/Server.ts"
import * as Snapshot from "../../src/memory/Snapshot.ts"
import { digestId } from "../../src/memory/Sha1.ts"
import { Draw } from "./Sequence.ts"
import { auth, call, callWith, closeSession, type Message, ping, RawClient, toCore } from "./RawClient.ts"

const { operations: op } = Protocol
const open = [{ perms: 31, id: { scheme: "world", id: "anyone" } }]
const largestInt = 2 ** 31 - 1

/** A clock that is set by hand, in ms. */
class HandClock implements Clock.Clock {
  millis = 1000

  currentTimeMillisUnsafe(): number {
    return this.millis
  }
  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.millis) * 1_000_000n
  }
  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.millis) * 1_000_000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.millis)
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.die(`nobody sleeps here, for ${Duration.toMillis(duration)} ms`)
  }
}

const started = (options: Options = {}) => {
  const clock = new HandClock()
  const server = new Server({ tickTime: 1000, members: [], ...options }, clock)
  return {
    server,
    /** A client with a session. */
    client: async (request?: Partial<typeof Protocol.ConnectRequest.Type>, listener?: string) => {
      const client = new RawClient(toCore(server, listener))
      await client.connect(request)
      return client
    },
    /** A connection without one. */
    stranger: (listener?: string) => new RawClient(toCore(server, listener)),
    /** Lets time pass. */
    pass: (millis: number) => {
      clock.millis += millis
      server.tick()
    }
  }
}

const create = (path: string, flags = 0, data: Uint8Array | null = new Uint8Array(0)) =>
  call(op.create, { path, data, acl: open, flags })
const exists = (path: string, watch = false) => call(op.exists, { path, watch })
const container = (path: string) => call(op.createContainer, { path, data: null, acl: open, flags: 4 })
const brief = (path: string, ttl: number) => call(op.createTtl, { path, data: null, acl: open, flags: 5, ttl })
const set = (path: string, version = -1) => call(op.setData, { path, data: new Uint8Array(1), version })
const remove = (path: string) => call(op.delete, { path, version: -1 })
const addWatch = (path: string, mode: number) => call(op.addWatch, { path, mode })

const replied = (message: Message) =>
  message._tag === "Reply" ? message : assert.fail(`not a reply but ${message._tag}`)
const errorOf = (message: Message): number => replied(message).err
const zxidOf = (message: Message): bigint => replied(message).zxid
const pathOf = (message: Message): string => (replied(message).body as { readonly path: string }).path
const statOf = (message: Message): Protocol.Stat => (replied(message).body as { readonly stat: Protocol.Stat }).stat

const textOf = (message: Message): string =>
  new TextDecoder().decode((replied(message).body as { readonly data: Uint8Array }).data)

const eventsOf = (client: RawClient): ReadonlyArray<string> =>
  client.messages.flatMap((message) => (message._tag === "Event" ? [`${message.type} ${message.path}`] : []))

describe("zxids", () => {
  it("every write takes one, refused and malformed ones too, and so do sessions", async () => {
    const { client: connect } = started()
    const client = await connect()
    assert.deepStrictEqual(
      (
        await client.all([
          ping,
          create("/a"),
          create("/a"),
          call(op.multi, []),
          callWith(OpCode.Multi, 0, 0, 0),
          callWith(OpCode.Create),
          callWith(OpCode.GetData),
          set("/none"),
          exists("/a"),
          call(op.sync, { path: "/" }),
          closeSession
        ])
      ).map(zxidOf),
      [1n, 2n, 3n, 4n, 5n, 6n, 6n, 7n, 7n, 7n, 8n]
    )
    assert.strictEqual(zxidOf(await (await connect()).one(ping)), 9n)
  })

  it("the operations of a transaction share one, and so do the ephemerals of a session that ends", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    const other = await connect()
    await client.all([create("/p"), create("/p/a", 1), create("/p/b", 1)])
    await other.one(
      call(op.multi, [
        { type: OpCode.SetData, request: { path: "/p", data: null, version: -1 } },
        { type: OpCode.Create, request: { path: "/p/c", data: null, acl: open, flags: 0 } }
      ])
    )
    const { stat } = server.tree.get("/p") ?? assert.fail("no /p")
    assert.strictEqual(stat.mzxid, stat.pzxid)
    const end = zxidOf(await client.one(closeSession))
    assert.strictEqual(statOf(await other.one(exists("/p"))).pzxid, end)
    assert.strictEqual(end, stat.pzxid + 1n)
  })

  it("ensembles begin with an epoch", async () => {
    const { client: connect } = started({ members: ["a:1"] })
    assert.strictEqual(zxidOf(await (await connect()).one(ping)), (1n << 32n) + 1n)
  })
})

describe("numbers at their end", () => {
  it("data and ACL versions wrap around", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    await client.one(create("/a"))
    const znode = server.tree.get("/a") ?? assert.fail("no /a")
    znode.version = znode.aversion = largestInt
    assert.strictEqual(statOf(await client.one(set("/a", largestInt))).version, -largestInt - 1)
    const { aversion } = statOf(await client.one(call(op.setAcl, { path: "/a", acl: open, version: largestInt })))
    assert.strictEqual(aversion, -largestInt - 1)
  })

  it("the sequence sticks at 2147483647, and pzxid with it", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    await client.one(create("/a"))
    const znode = server.tree.get("/a") ?? assert.fail("no /a")
    znode.cversion = largestInt - 1
    assert.strictEqual(pathOf(await client.one(create("/a/s-", 2))), "/a/s-2147483646")
    const { pzxid } = znode
    assert.strictEqual(pathOf(await client.one(create("/a/s-", 2))), "/a/s-2147483647")
    assert.strictEqual(pathOf(await client.one(create("/a/t-", 2))), "/a/t-2147483647")
    assert.strictEqual(errorOf(await client.one(create("/a/s-", 2))), ErrorCode.NodeExists)
    assert.strictEqual(znode.pzxid, pzxid)
    znode.cversion = -5
    assert.strictEqual(pathOf(await client.one(create("/a/s-", 2))), "/a/s--000000005")
  })
})

describe("sessions", () => {
  it("timeouts are clamped", async () => {
    const { stranger } = started()
    const granted = async (timeOut: number) => (await stranger().connect({ timeOut }))?.timeOut
    assert.deepStrictEqual(
      await Promise.all([-1, 0, 1999, 2001, 20_000, 20_001].map(granted)),
      [2000, 2000, 2000, 2001, 20_000, 20_000]
    )
  })

  it("end between their timeout and one tick more, in ticks", async () => {
    const { client: connect, pass, server } = started()
    pass(500)
    const client = await connect({ timeOut: 4000 })
    await client.one(create("/e", 1))
    const other = await connect({ timeOut: 20_000 })
    await other.one(exists("/e", true))
    // 1.5 s + 4 s is in the tick that ends at 6 s.
    pass(4499)
    assert.isFalse(client.isClosed)
    pass(1)
    assert.isTrue(client.isClosed)
    assert.deepStrictEqual(
      client.messages.filter(({ _tag }) => _tag !== "Reply"),
      [{ _tag: "Closed" }]
    )
    assert.deepStrictEqual(eventsOf(other), ["2 /e"])
    assert.deepStrictEqual(
      server.sessions.map(({ id }) => id),
      [other.sessionId]
    )
  })

  it("every request keeps them, and expireSession ends them", async () => {
    const { client: connect, pass, server } = started()
    const client = await connect({ timeOut: 4000 })
    for (let round = 0; round < 10; round++) {
      pass(3900)
      await client.one(ping)
    }
    assert.isTrue(server.expireSession(client.sessionId))
    assert.isFalse(server.expireSession(client.sessionId))
    assert.isTrue(client.isClosed)
    const back = await new RawClient(toCore(server)).connect({ sessionId: client.sessionId, passwd: client.password })
    assert.strictEqual(back?.timeOut, 0)
  })

  it("go on with the right password, whose older connection ends; a wrong one ends that too", async () => {
    const { client: connect, server, stranger } = started()
    const first = await connect()
    const credentials = { sessionId: first.sessionId, passwd: first.password }
    const second = stranger()
    assert.strictEqual((await second.connect(credentials))?.sessionId, first.sessionId)
    assert.isTrue(first.isClosed)
    const intruder = stranger()
    assert.deepStrictEqual(await intruder.connect({ sessionId: first.sessionId, passwd: new Uint8Array(16) }), {
      protocolVersion: 0,
      timeOut: 0,
      sessionId: 0n,
      passwd: new Uint8Array(16),
      readOnly: false
    })
    assert.deepStrictEqual([second.isClosed, intruder.isClosed], [true, true])
    assert.deepStrictEqual(
      server.sessions.map(({ connected, id }) => [id, connected]),
      [[first.sessionId, false]]
    )
  })

  it("a server refuses who has seen more than it has, without a word", async () => {
    const { stranger } = started()
    const ahead = stranger()
    assert.isUndefined(await ahead.connect({ lastZxidSeen: 1n }))
    assert.isTrue(ahead.isClosed)
  })

  it("move between listeners: the old connection reads on, and is closed when it writes", async () => {
    const { client: connect, server } = started()
    const old = await connect({}, "a:1")
    const credentials = { sessionId: old.sessionId, passwd: old.password }
    await old.one(create("/e", 1))
    const moved = await connect(credentials, "b:1")
    assert.isFalse(old.isClosed)
    assert.strictEqual(errorOf(await old.one(exists("/e"))), 0)
    assert.strictEqual((await old.one(set("/e")))._tag, "Closed")
    assert.strictEqual(statOf(await moved.one(exists("/e"))).version, 0)
    assert.isTrue(server.moveSession(moved.sessionId, "a:1"))
    assert.strictEqual((await moved.one(call(op.sync, { path: "/" })))._tag, "Closed")
  })

  it("a write behind closeSession is not done", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    const [closed, written] = await client.all([closeSession, create("/late")])
    assert.strictEqual(closed?._tag, "Reply")
    assert.strictEqual(written?._tag, "Closed")
    assert.isUndefined(server.tree.get("/late"))
  })

  it("an idle server needs no wake-ups", async () => {
    const { client: connect, server } = started()
    assert.strictEqual(server.untilTick, Infinity)
    const client = await connect({ timeOut: 4000 })
    assert.strictEqual(server.untilTick, 5000)
    await client.one(closeSession)
    assert.strictEqual(server.untilTick, Infinity)
  })

  it.effect("expire by the Effect clock", () =>
    Effect.gen(function*() {
      const server = yield* make({ tickTime: 1000 })
      const client = new RawClient(toCore(server))
      yield* Effect.promise(() => client.connect({ timeOut: 4000 }))
      yield* TestClock.adjust("4999 millis")
      assert.isFalse(client.isClosed)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(client.isClosed)
    })
  )
})

describe("read-only", () => {
  it("takes only those who want it, and serves reads", async () => {
    const { client: connect, server, stranger } = started()
    const client = await connect()
    server.setReadOnly(true)
    assert.isTrue(client.isClosed)
    assert.isUndefined(await stranger().connect())
    assert.isUndefined(
      await stranger().connect({ sessionId: client.sessionId, passwd: client.password, readOnly: true })
    )
    const reader = stranger()
    assert.deepInclude(await reader.connect({ readOnly: true }), { readOnly: true, timeOut: 20_000 })
    assert.deepStrictEqual(
      (
        await reader.all([
          exists("/zookeeper", true),
          call(op.whoAmI, {}),
          create("/a"),
          call(op.multi, []),
          call(op.sync, { path: "/" }),
          ping
        ])
      ).map(errorOf),
      [0, 0, -119, -119, -119, 0]
    )
    server.setReadOnly(false)
    assert.isTrue(reader.isClosed)
    assert.strictEqual(
      (await stranger().connect({ sessionId: reader.sessionId, passwd: reader.password }))?.timeOut,
      0
    )
    assert.strictEqual(
      (await stranger().connect({ sessionId: client.sessionId, passwd: client.password }))?.timeOut,
      20_000
    )
  })

  it("without sessions of its own it answers a header in place of the handshake", async () => {
    const { server } = started({ localSessions: false })
    server.setReadOnly(true)
    const sent: Array<Uint8Array> = []
    const peer = server.accept({
      remoteAddress: "::1",
      listener: "a:1",
      send: (bytes) => sent.push(bytes),
      close: () => {}
    })
    peer.receive(handshake({ readOnly: true }))
    const view = new DataView(Uint8Array.from(sent.flatMap((bytes) => Array.from(bytes))).buffer)
    assert.deepStrictEqual([view.getInt32(0), view.getInt32(4), view.getInt32(16)], [16, 0, ErrorCode.NotReadOnly])
  })

  it("one listener alone", async () => {
    const { client: connect, server } = started()
    const here = await connect({}, "a:1")
    const there = await connect({}, "b:1")
    server.setReadOnly(true, "b:1")
    assert.deepStrictEqual([here.isClosed, there.isClosed], [false, true])
    assert.strictEqual(errorOf(await here.one(create("/a"))), 0)
  })
})

const frame = (write: (writer: Jute.Writer) => void): Uint8Array => {
  const writer = new Jute.Writer()
  writer.begin()
  write(writer)
  writer.end()
  return writer.drain()[0] ?? new Uint8Array(0)
}

const handshake = (request: Partial<typeof Protocol.ConnectRequest.Type> = {}): Uint8Array =>
  frame((writer) =>
    Jute.layoutOf(Protocol.ConnectRequest).write(writer, {
      protocolVersion: 0,
      lastZxidSeen: 0n,
      timeOut: 10_000,
      sessionId: 0n,
      passwd: new Uint8Array(16),
      ...request
    })
  )

/** What a server sends in answer to bytes, and whether it hangs up. */
const told = (server: Server, ...chunks: ReadonlyArray<Uint8Array>) => {
  const sent: Array<number> = []
  let isClosed = false
  const peer = server.accept({
    remoteAddress: "127.0.0.1",
    listener: "a:1",
    send: (bytes) => sent.push(...bytes),
    close: () => {
      isClosed = true
    }
  })
  for (const chunk of chunks) peer.receive(chunk)
  return { sent: Uint8Array.from(sent), isClosed, peer }
}

describe("bytes", () => {
  const request = frame((writer) => {
    writer.int(1)
    writer.int(OpCode.Create)
    create("/a").write(writer)
  })

  it("may be cut anywhere", () => {
    const whole = told(started().server, Uint8Array.of(...handshake({ readOnly: false }), ...request))
    const bytes = [...handshake({ readOnly: false }), ...request]
    for (let size = 1; size < 9; size++) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        Uint8Array.from(bytes.slice(index * size, (index + 1) * size))
      )
      assert.deepStrictEqual(told(started().server, ...chunks).sent, whole.sent)
    }
  })

  it("a handshake without the byte for read-only is answered without it", () => {
    assert.strictEqual(told(started().server, handshake()).sent.length, 4 + 36)
    assert.strictEqual(told(started().server, handshake({ readOnly: false })).sent.length, 4 + 37)
    assert.strictEqual(told(started({ compat: "3.3" }).server, handshake({ readOnly: false })).sent.length, 4 + 36)
  })

  it("a frame may have jute.maxbuffer bytes and no more", async () => {
    const { client: connect } = started({ maxBuffer: 1000 })
    const client = await connect()
    const overhead = 8 + 4 + 2 + 4 + (4 + 4 + 4 + 5 + 4 + 6) + 4
    assert.strictEqual(errorOf(await client.one(create("/a", 0, new Uint8Array(1000 - overhead)))), 0)
    assert.strictEqual((await client.one(create("/b", 0, new Uint8Array(1001 - overhead))))._tag, "Closed")
  })

  it("that make no frame close the connection", () => {
    const { server } = started()
    for (const length of [
      [0, 0, 0, 0],
      [255, 255, 255, 255],
      [0x7f, 0xff, 0xff, 0xff],
      [0, 0x10, 0, 0],
      [0x16, 3, 1, 2]
    ]) {
      assert.isTrue(told(server, Uint8Array.from(length)).isClosed, String(length))
      assert.isTrue(told(server, handshake(), Uint8Array.from(length)).isClosed, String(length))
    }
    assert.isTrue(
      told(
        server,
        handshake(),
        frame((writer) => writer.int(1))
      ).isClosed,
      "half a header"
    )
    assert.isTrue(
      told(
        server,
        frame((writer) => writer.int(0))
      ).isClosed,
      "half a handshake"
    )
    assert.strictEqual(server.connections.size, 0)
  })

  it("an announced frame takes no memory", () => {
    const { server } = started()
    const before = process.memoryUsage().arrayBuffers
    const peers = Array.from({ length: 1000 }, () => told(server, Uint8Array.of(0, 0xf, 0xff, 0xff, 1)).peer)
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 20_000_000)
    for (const peer of peers) peer.closed()
    assert.strictEqual(server.connections.size, 0)
  })

  it("noise costs nobody else anything", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    await client.one(create("/a"))
    const draw = new Draw(1)
    const noise = (length: number) => Uint8Array.from({ length }, () => draw.below(draw.chance(0.5) ? 3 : 256))
    for (let round = 0; round < 2000; round++) {
      const body = noise(draw.below(120))
      const framed = frame((writer) => {
        writer.int(round)
        writer.int(
          draw.one(
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9,
            12,
            13,
            14,
            15,
            16,
            17,
            18,
            19,
            21,
            22,
            100,
            101,
            102,
            103,
            104,
            105,
            106,
            107
          )
        )
        callWith(0, ...body).write(writer)
      })
      const { peer } = draw.chance(0.2) ? told(server, noise(50)) : told(server, handshake(), framed, noise(20))
      peer.closed()
      peer.closed()
    }
    assert.strictEqual(errorOf(await client.one(exists("/a"))), 0)
    assert.strictEqual(server.connections.size, 1)
    assert.deepStrictEqual(server.watches, [])
    assert.deepStrictEqual(server.defects, [])
  })

  it("small requests for large znodes do not fill the memory", async () => {
    const { client: connect, server } = started()
    const client = await connect()
    await client.one(create("/large", 0, new Uint8Array(1_000_000)))
    const read = { type: OpCode.GetData, request: { path: "/large", watch: false } } as const
    const bomb = (count: number) =>
      call(
        op.multiRead,
        Array.from({ length: count }, () => read)
      )
    assert.deepStrictEqual((await client.all([bomb(1), bomb(30_000), ping])).map(errorOf), [
      0,
      ErrorCode.MarshallingError,
      0
    ])
    const one = frame((writer) => {
      writer.int(1)
      writer.int(OpCode.GetData)
      call(op.getData, { path: "/large", watch: false }).write(writer)
    })
    const many = new Uint8Array(1000 * one.length)
    for (let index = 0; index < 1000; index++) many.set(one, index * one.length)
    let received = 0
    let isClosed = false
    const peer = server.accept({
      remoteAddress: "127.0.0.1",
      listener: "a:1",
      send: (bytes) => {
        received += bytes.length
      },
      close: () => {
        isClosed = true
      }
    })
    peer.receive(handshake())
    peer.receive(many)
    assert.isTrue(isClosed)
    assert.isBelow(received, 300_000_000)
    assert.deepStrictEqual(server.defects, [])
  })

  it("identities are not collected without end", async () => {
    const client = await started().client()
    const answers = await client.all(Array.from({ length: 1001 }, (_, index) => auth("digest", `user:${index}`)))
    assert.deepStrictEqual(
      [...new Set(answers.map((answer) => (answer._tag === "Reply" ? answer.err : "closed")))],
      [0, ErrorCode.AuthFailed, "closed"]
    )
  })

  it("a handshake that does not come is not waited for", () => {
    const { pass, server } = started()
    const { peer } = told(server, Uint8Array.of(0, 0))
    pass(9999)
    assert.strictEqual(server.connections.size, 1)
    peer.receive(Uint8Array.of(0))
    pass(1)
    assert.strictEqual(server.connections.size, 0)
  })

  it("ten thousand connections come and go", () => {
    const { server } = started()
    for (let round = 0; round < 10_000; round++) told(server, handshake().subarray(0, round % 40)).peer.closed()
    assert.strictEqual(server.connections.size, 0)
    assert.strictEqual(server.untilTick, Infinity)
  })

  it("connections from one address may be limited, and requests per second", async () => {
    const { client: connect, pass, server } = started({ maxClientConnections: 2, requestsPerSecond: 3 })
    const client = await connect()
    assert.isFalse(told(server).isClosed)
    assert.isTrue(told(server).isClosed)
    const requests = [create("/a"), create("/b"), create("/c"), create("/d"), ping]
    assert.deepStrictEqual((await client.all(requests)).map(errorOf), [0, 0, 0, ErrorCode.Throttled, 0])
    pass(1000)
    assert.strictEqual(errorOf(await client.one(create("/d"))), 0)
  })
})

describe("what goes by itself", () => {
  it("containers that are empty again, and TTL znodes without children", async () => {
    const {
      client: connect,
      pass,
      server
    } = started({ containerCheckInterval: 60_000, maxSessionTimeout: 1_000_000 })
    const client = await connect({ timeOut: 1_000_000 })
    await client.all([
      container("/unused"),
      container("/used"),
      create("/used/a"),
      brief("/brief", 50_000),
      brief("/parent", 1),
      create("/parent/child"),
      brief("/long", 2 ** 40 - 1),
      exists("/used", true),
      exists("/brief", true)
    ])
    assert.strictEqual(server.untilTick, 60_000)
    pass(59_999)
    assert.isDefined(server.tree.get("/brief"))
    pass(1)
    assert.deepStrictEqual(eventsOf(client), ["2 /brief"])
    await client.all([remove("/used/a"), remove("/parent/child")])
    const before = server.zxid
    pass(60_000)
    assert.strictEqual(server.zxid, before + 2n)
    assert.deepStrictEqual([...(server.tree.get("/")?.children ?? [])].toSorted(), ["long", "unused", "zookeeper"])
    assert.deepStrictEqual(eventsOf(client), ["2 /brief", "2 /used"])
  })

  it("there are no TTLs without extended types, which costs no connection", async () => {
    const { client: connect } = started({ extendedTypes: false })
    const client = await connect()
    const answers = await client.all([
      call(op.createTtl, { path: "/t", data: null, acl: open, flags: 5, ttl: 1 }),
      ping
    ])
    assert.deepStrictEqual(answers.map(errorOf), [ErrorCode.Unimplemented, 0])
  })
})

const since = (request: Parameters<RawClient["one"]>[0], first: Compat) =>
  it(`operation ${request.opCode} is known since ${first}; before, it costs the connection`, async () => {
    for (const compat of compats) {
      const client = await started({ compat }).client()
      const [answer, after] = await client.all([request, ping])
      const isKnown = compat >= first
      if (!isKnown) assert.deepInclude(answer, { err: ErrorCode.Unimplemented, zxid: -1n })
      else assert.notStrictEqual(errorOf(answer ?? assert.fail("no answer")), ErrorCode.Unimplemented)
      assert.strictEqual(after?._tag, isKnown ? "Reply" : "Closed", compat)
    }
  })

describe("releases", () => {
  since(call(op.multi, []), "3.4")
  since(call(op.create2, { path: "/a", data: null, acl: open, flags: 0 }), "3.5")
  since(call(op.checkWatches, { path: "/a", type: 1 }), "3.5")
  since(addWatch("/a", 0), "3.6")
  since(call(op.multiRead, []), "3.6")
  since(call(op.whoAmI, {}), "3.8")

  const creating = (flags = 0) =>
    call(op.multi, [{ type: OpCode.Create2, request: { path: "/a", data: null, acl: open, flags } }])

  it("create2 in a transaction has a Stat since 3.9, and a wrong flag spoils all of it", async () => {
    for (const compat of ["3.5", "3.8", "3.9"] as const) {
      const client = await started({ compat }).client()
      const [result] = replied(await client.one(creating())).body as ReadonlyArray<Protocol.MultiResult>
      assert.strictEqual(result?.type, compat === "3.9" ? OpCode.Create2 : OpCode.Create)
      const wrong = replied(await client.one(creating(9)))
      assert.deepStrictEqual(
        [wrong.err, wrong.body],
        compat === "3.9" ? [-5, undefined] : [0, [{ type: -1, err: -8 }]]
      )
    }
  })

  it("a check outside of a transaction is not answered up to 3.8, and refused since", async () => {
    const check = call(op.delete, { path: "/zookeeper", version: -1 }, OpCode.Check)
    const old = await started({ compat: "3.8" }).client()
    const unanswered = old.one(check)
    assert.strictEqual(
      errorOf(await old.one(call(op.delete, { path: "/none", version: -1 }, OpCode.Check))),
      ErrorCode.NoNode
    )
    await old.close()
    void unanswered
    const client = await started({ compat: "3.9" }).client()
    assert.strictEqual(errorOf(await client.one(check)), ErrorCode.Unimplemented)
  })

  it("a path has one watch mode up to 3.8, where the last one wins", async () => {
    for (const compat of ["3.8", "3.9"] as const) {
      const client = await started({ compat }).client()
      await client.all([create("/a"), addWatch("/a", 0), exists("/a", true), set("/a"), set("/a")])
      assert.deepStrictEqual(eventsOf(client), compat === "3.8" ? ["3 /a"] : ["3 /a", "3 /a"])
      assert.strictEqual(
        errorOf(await client.one(call(op.removeWatches, { path: "/a", type: 4 }))),
        compat === "3.8" ? ErrorCode.MarshallingError : 0
      )
    }
  })

  it("notifications carry their zxid since 3.9", async () => {
    for (const compat of ["3.8", "3.9"] as const) {
      const client = await started({ compat }).client()
      await client.all([exists("/a", true), create("/a")])
      const event = client.messages.find(({ _tag }) => _tag === "Event")
      assert.deepInclude(event, { zxid: compat === "3.8" ? -1n : 2n })
    }
  })

  it("exists needs READ since 3.9", async () => {
    for (const compat of ["3.8", "3.9"] as const) {
      const client = await started({ compat }).client()
      const acl = [{ perms: 30, id: { scheme: "world", id: "anyone" } }]
      await client.one(call(op.create, { path: "/a", data: null, acl, flags: 0 }))
      assert.strictEqual(errorOf(await client.one(exists("/a"))), compat === "3.8" ? 0 : ErrorCode.NoAuth)
    }
  })
})

/** A server with one of everything. */
const full = async () => {
  const { client: connect, server } = started({ members: ["a:1"] })
  const client = await connect()
  const limits = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2"
  await client.all([
    create("/a", 0, null),
    create("/a/e", 1, Uint8Array.of(0, 255)),
    set("/a/e"),
    brief("/t", 50_000),
    container("/c"),
    create("/c/x"),
    call(op.setAcl, { path: "/c/x", acl: [{ perms: 1, id: { scheme: "ip", id: "::1" } }, ...open], version: -1 }),
    create("/zookeeper/quota/c"),
    create("/zookeeper/quota/c/zookeeper_limits", 0, new TextEncoder().encode(limits)),
    create("/zookeeper/quota/c/zookeeper_stats")
  ])
  return { client, server }
}

describe("snapshots", () => {
  it.effect("bring back znodes, sessions and zxids", () =>
    Effect.gen(function*() {
      const { client, server } = yield* Effect.promise(full)
      const text = yield* Schema.encodeEffect(Snapshot.FromJson)(Snapshot.save(server))
      const { pass, server: restored } = started()
      const saved = yield* Schema.decodeEffect(Snapshot.FromJson)(text)
      yield* Snapshot.load(restored, saved)
      assert.deepStrictEqual(Snapshot.save(restored), saved)
      const back = new RawClient(toCore(restored))
      yield* Effect.promise(() =>
        back.connect({ sessionId: client.sessionId, passwd: client.password, lastZxidSeen: server.zxid })
      )
      assert.strictEqual(back.sessionId, client.sessionId)
      const another = new RawClient(toCore(restored))
      yield* Effect.promise(() => another.connect())
      assert.isAbove(Number(another.sessionId - back.sessionId), 0)
      assert.strictEqual(errorOf(yield* Effect.promise(() => another.one(create("/c/y")))), ErrorCode.QuotaExceeded)
      yield* Effect.promise(() => back.one(closeSession))
      assert.isUndefined(restored.tree.get("/a/e"))
      pass(60_000)
      assert.isUndefined(restored.tree.get("/t"))
    })
  )

  it.effect("that contradict themselves are refused, and change nothing", () =>
    Effect.gen(function*() {
      const { server } = yield* Effect.promise(full)
      const good = Snapshot.save(server)
      const { server: other } = started()
      const [root, ...rest] = good.znodes
      if (root === undefined) return assert.fail("no root")
      for (const znodes of [
        rest,
        [root],
        [...good.znodes, root],
        [...good.znodes, { ...root, path: "/a/e/below" }],
        [...good.znodes, { ...root, path: "/none/below" }],
        [...good.znodes, { ...root, path: "/bad/" }],
        [...good.znodes, { ...root, path: "/orphan", owner: 99n }]
      ]) {
        const error = yield* Effect.flip(Snapshot.load(other, { ...good, znodes }))
        assert.strictEqual(error._tag, "InvalidSnapshot")
      }
      assert.strictEqual(other.tree.size, 4)
    })
  )
})

describe("the order of events", () => {
  it("creation before the parent's change, one deletion for both lists, all before the reply", async () => {
    const { client: connect } = started({ compat: "3.9" })
    const client = await connect()
    await client.all([
      create("/p"),
      call(op.getChildren, { path: "/p", watch: true }),
      exists("/p/a", true),
      create("/p/a"),
      call(op.getChildren, { path: "/p", watch: true }),
      call(op.getChildren, { path: "/p/a", watch: true }),
      exists("/p/a", true),
      remove("/p/a")
    ])
    const order = client.messages
      .map((message) => (message._tag === "Event" ? `${message.type} ${message.path}` : "."))
      .join(" ")
    assert.strictEqual(order, ". . . 1 /p/a 4 /p . . . . 2 /p/a 4 /p .")
  })
})

describe("the configuration", () => {
  const superDigest = digestId(new TextEncoder().encode("super:test"))
  const getConfig = call(op.getData, { path: "/zookeeper/config", watch: true })
  const reconfig = (changes: { joining?: string; leaving?: string; members?: string; version?: bigint }) =>
    call(op.reconfig, {
      joiningServers: changes.joining ?? null,
      leavingServers: changes.leaving ?? null,
      newMembers: changes.members ?? null,
      curConfigId: changes.version ?? -1n
    })

  it("is that of an ensemble of the listeners, and can be changed by who may", async () => {
    const { client: connect } = started({ members: ["127.0.0.1:2181"], superDigest })
    const client = await connect()
    const before = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181"
    assert.strictEqual(textOf(await client.one(getConfig)), `${before}\nversion=100000000`)
    const observer = "server.7=10.0.0.7:2888:3888:observer;0.0.0.0:2181"
    assert.deepStrictEqual(
      (
        await client.all([
          reconfig({ joining: "nonsense" }),
          reconfig({ joining: observer, version: 7n }),
          reconfig({ leaving: "1" }),
          reconfig({ joining: observer.replace("observer", "participant") }),
          reconfig({ joining: observer })
        ])
      ).map(errorOf),
      [-8, -103, -8, -13, -102]
    )
    await client.one(auth("digest", "super:test"))
    const answer = await client.one(reconfig({ joining: observer, version: 1n << 32n }))
    assert.strictEqual(textOf(answer), `${before}\n${observer}\nversion=${zxidOf(answer).toString(16)}`)
    assert.strictEqual(statOf(answer).version, -1)
    assert.strictEqual(client.messages.at(-2)?._tag, "Event")
    assert.strictEqual(textOf(await client.one(reconfig({ leaving: "7" }))).split("\n").length, 2)
  })

  it("a server that stands alone has none", async () => {
    const client = await started().client()
    assert.strictEqual(textOf(await client.one(getConfig)), "")
    assert.strictEqual(errorOf(await client.one(reconfig({ leaving: "1" }))), ErrorCode.Unimplemented)
  })
})
