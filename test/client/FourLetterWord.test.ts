import { NodeSocket } from "@effect/platform-node"
import { assert, describe, inject, it } from "@effect/vitest"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Effect, Fiber, Result, Schema } from "effect"
import * as Socket from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import * as FourLetterWord from "../../src/client/FourLetterWord.ts"
import * as ConnectionString from "../../src/ConnectionString.ts"
import { ServerFacts } from "../../src/ServerFacts.ts"

const srvr = `Zookeeper version: 3.9.5-60d6b7c8, built on 2025-12-02 21:12 UTC
Latency min/avg/max: 0/0.5714/7
Received: 15
Sent: 14
Connections: 2
Outstanding: 1
Zxid: 0x1200000003
Mode: leader
Node count: 5
Proposal sizes last/min/max: 48/48/48
`

const facts: ServerFacts = {
  version: "3.9.5",
  versionText: "3.9.5-60d6b7c8, built on 2025-12-02 21:12 UTC",
  mode: "leader",
  zxid: 0x1200000003n,
  connections: 2,
  nodeCount: 5,
  outstanding: 1,
  received: 15,
  sent: 14,
  latency: { min: 0, average: 0.5714, max: 7 }
}

const withLine = (key: string, line: string) => srvr.replace(new RegExp(`^${key}.*\n`, "m"), line)

const reasonOf = (text: string) =>
  Effect.map(Effect.flip(Effect.fromResult(FourLetterWord.parseServerFacts(text))), (error) => {
    assert.strictEqual(error.outcome, "NotApplied")
    assert.strictEqual(error.operation, "srvr")
    return error.reason
  })

describe("parseServerFacts", () => {
  it.effect("reads srvr", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(FourLetterWord.parseServerFacts(srvr), Result.succeed(facts))
      assert.isTrue(Schema.is(ServerFacts)(facts))
    }))

  it.effect.each([
    ["3.8.0-${mvngit.commit.id}, built on 2023-02-18 12:06 UTC", "3.8.0"],
    ["3.4.14-4c25d480e66aadd371de8bd2fd8da255ac140bcf, built on 03/06/2019 16:18 GMT", "3.4.14"],
    ["3.10.0-SNAPSHOT-abc, built on 2026-01-01 00:00 UTC", "3.10.0"],
    ["3.5.3-beta-8ce24f9e, built on 2017", "3.5.3"],
    ["3.9.3", "3.9.3"],
    ["${project.version}-${mvngit.commit.id}, built on ${build.time}", undefined],
    ["unknown", undefined],
    ["3", undefined],
    ["", undefined]
  ] as const)("version %j is %j", ([versionText, version]) =>
    Effect.sync(() => {
      const text = withLine("Zookeeper version", `Zookeeper version: ${versionText}\n`)
      assert.deepStrictEqual(FourLetterWord.parseServerFacts(text), Result.succeed({ ...facts, version, versionText }))
    }))

  it.effect("a missing version is no reason to fail", () =>
    Effect.sync(() =>
      assert.deepStrictEqual(
        FourLetterWord.parseServerFacts(withLine("Zookeeper version", "")),
        Result.succeed({ ...facts, version: undefined, versionText: "" })
      )
    ))

  it.effect("other products are not taken for a version of ZooKeeper", () =>
    Effect.sync(() => {
      const text = `ClickHouse Keeper version: v21.11.1.1-prestable-7a4a0b0e
Latency min/avg/max: 0/0/0
Received: 0
Sent : 0
Connections: 2
Outstanding: 0
Zxid: 36
Mode: leader
Node count: 4
`
      assert.deepStrictEqual(
        FourLetterWord.parseServerFacts(text),
        Result.succeed({
          version: undefined,
          versionText: "v21.11.1.1-prestable-7a4a0b0e",
          mode: "leader",
          zxid: 36n,
          connections: 2,
          nodeCount: 4,
          outstanding: 0,
          received: 0,
          sent: 0,
          latency: { min: 0, average: 0, max: 0 }
        })
      )
    }))

  it.effect.each(["standalone", "leader", "follower", "observer", "read-only", "something new"])("mode %s", (mode) =>
    Effect.sync(() =>
      assert.deepStrictEqual(
        FourLetterWord.parseServerFacts(withLine("Mode", `Mode: ${mode}\n`)),
        Result.succeed({ ...facts, mode })
      )
    ))

  it.effect("line ends of another system do not matter", () =>
    Effect.sync(() =>
      assert.deepStrictEqual(FourLetterWord.parseServerFacts(srvr.replaceAll("\n", "\r\n")), Result.succeed(facts))
    ))

  it.effect("zxids keep 64 bits", () =>
    Effect.gen(function*() {
      const parsed = yield* Effect.fromResult(
        FourLetterWord.parseServerFacts(withLine("Zxid", "Zxid: 0x7fffffffffffffff\n"))
      )
      assert.strictEqual(parsed.zxid, 0x7fffffffffffffffn)
    }))

  it.effect("not in the whitelist", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOf("srvr is not executed because it is not in the whitelist.\n")
      assert.strictEqual(reason._tag, "Unimplemented")
      assert.include(reason.message, "4lw.commands.whitelist")
    }))

  it.effect("not serving", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOf("This ZooKeeper instance is not currently serving requests\n")
      assert.strictEqual(reason._tag, "ConnectionLoss")
    }))

  it.effect.each([
    ["", "Latency min/avg/max"],
    ["HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "Latency min/avg/max"],
    [withLine("Zxid", ""), "Zxid"],
    [withLine("Zxid", "Zxid:\n"), "Zxid"],
    [withLine("Zxid", "Zxid: 0xzz\n"), "Zxid"],
    [withLine("Zxid", "Zxid: -1\n"), "Zxid"],
    [withLine("Mode", ""), "Mode"],
    [withLine("Mode", "Mode:\n"), "Mode"],
    [withLine("Connections", ""), "Connections"],
    [withLine("Connections", "Connections: many\n"), "Connections"],
    [withLine("Node count", "Node count: 1.5\n"), "Node count"],
    [withLine("Outstanding", ""), "Outstanding"],
    [withLine("Received", ""), "Received"],
    [withLine("Sent", ""), "Sent"],
    [withLine("Latency", "Latency min/avg/max: 0/0\n"), "Latency min/avg/max"]
  ] as const)("refuses %j", ([text, key]) =>
    Effect.gen(function*() {
      const reason = yield* reasonOf(text)
      assert.strictEqual(reason._tag, "Protocol")
      assert.include(reason.message, `"${key}"`)
    }))

  it.effect("shows only the beginning of what it does not understand", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOf("x".repeat(100_000))
      assert.isBelow(reason.message.length, 400)
    }))
})

type Step = NonEmptyReadonlyArray<Uint8Array | string> | Socket.SocketErrorReason | "silence"

const closed = (code: number) => new Socket.SocketCloseError({ code })
const bytes = (text: string) => new TextEncoder().encode(text)

/** A socket that plays a script, and keeps a record of what happened to it. */
const scripted = (steps: ReadonlyArray<Step>) => {
  const log: Array<string> = []
  let position = 0
  const pull = Effect.suspend((): Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError> => {
    const step = steps[position++] ?? "silence"
    return step === "silence"
      ? Effect.never
      : "_tag" in step
      ? Effect.fail(new Socket.SocketError({ reason: step }))
      : Effect.succeed(step)
  })
  const socket = Socket.make({
    reader: Effect.acquireRelease(
      Effect.sync(() => {
        log.push("dial")
        return { pull, upgrade: Socket.SocketUpgradeError.unsupported }
      }),
      () => Effect.sync(() => log.push("hang up"))
    ),
    writer: Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) => Effect.sync(() => void log.push(String(chunk))),
        writeAll: () => Effect.die("not used")
      }),
      () => Effect.sync(() => log.push("half-close"))
    )
  })
  return { socket, log, pulls: () => position }
}

describe("send", () => {
  it.effect("sends the word, reads to the end, and only then hangs up", () =>
    Effect.gen(function*() {
      const { log, socket } = scripted([[bytes("im"), bytes("o")], [bytes("k")], closed(1000)])
      assert.strictEqual(yield* FourLetterWord.send(socket, "ruok", "1 second"), "imok")
      assert.deepStrictEqual(log, ["dial", "ruok", "half-close", "hang up"])
    }))

  it.effect("characters may be split between chunks", () =>
    Effect.gen(function*() {
      const whole = bytes("Größe: 中\n")
      const single = Array.from(whole, (byte): Step => [Uint8Array.of(byte)])
      const { socket } = scripted([...single, closed(1000)])
      assert.strictEqual(yield* FourLetterWord.send(socket, "envi", "1 second"), "Größe: 中\n")
    }))

  it.effect.each<readonly [string, ReadonlyArray<Step>, string]>([
    ["closed without an answer", [closed(1000)], "without an answer"],
    ["cut in the middle", [[bytes("Zookeeper ver")], closed(1006)], "1006"],
    ["reset in the middle", [
      [bytes("Zookeeper ver")],
      new Socket.SocketReadError({ cause: new Error("read ECONNRESET") })
    ], "read ECONNRESET"]
  ])("%s is ConnectionLoss", ([, steps, detail]) =>
    Effect.gen(function*() {
      const { log, socket } = scripted(steps)
      const error = yield* Effect.flip(FourLetterWord.send(socket, "srvr", "1 second"))
      assert.strictEqual(error.reason._tag, "ConnectionLoss")
      assert.include(error.message, detail)
      assert.strictEqual(error.outcome, "NotApplied")
      assert.strictEqual(error.operation, "srvr")
      assert.strictEqual(log.at(-1), "hang up")
    }))

  it.effect.each<readonly [string, ReadonlyArray<Step>]>([
    ["never answers", ["silence"]],
    ["never closes", [[bytes("imok")], "silence"]]
  ])("a server that %s is left after the timeout", ([, steps]) =>
    Effect.gen(function*() {
      const { log, socket } = scripted(steps)
      const fiber = yield* Effect.forkChild(Effect.flip(FourLetterWord.send(socket, "ruok", "3 seconds")))
      yield* TestClock.adjust("2999 millis")
      assert.notInclude(log, "hang up")
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.deepInclude(error.reason, { _tag: "RequestTimeout", millis: 3000 })
      assert.strictEqual(log.at(-1), "hang up")
    }))

  it.effect("the timeout covers dialling", () =>
    Effect.gen(function*() {
      const socket = Socket.make({ reader: Effect.never, writer: Effect.never })
      const fiber = yield* Effect.forkChild(Effect.flip(FourLetterWord.send(socket, "ruok", "3 seconds")))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "RequestTimeout")
    }))

  it.effect("an answer may have 256 KiB and no more", () =>
    Effect.gen(function*() {
      const half = new Uint8Array(128 * 1024).fill(0x61)
      const fits = scripted([[half], [half], closed(1000)])
      assert.strictEqual((yield* FourLetterWord.send(fits.socket, "wchp", "1 second")).length, 256 * 1024)

      const endless = scripted([[half], [half], [bytes("a")], [half], closed(1000)])
      const error = yield* Effect.flip(FourLetterWord.send(endless.socket, "wchp", "1 second"))
      assert.deepInclude(error.reason, { _tag: "TooLarge", what: "reply", size: 256 * 1024 + 1, limit: 256 * 1024 })
      assert.strictEqual(endless.pulls(), 3)
      assert.strictEqual(endless.log.at(-1), "hang up")
    }))

  it.effect("serverFacts asks srvr", () =>
    Effect.gen(function*() {
      const { log, socket } = scripted([[bytes(srvr)], closed(1000)])
      assert.deepStrictEqual(yield* FourLetterWord.serverFacts(socket, "1 second"), facts)
      assert.include(log, "srvr")
    }))

  it.live("nobody listens: ConnectionLoss says why", () =>
    Effect.gen(function*() {
      const socket = yield* NodeSocket.makeNet({ host: "127.0.0.1", port: 1 })
      const error = yield* Effect.flip(FourLetterWord.send(socket, "ruok", "5 seconds"))
      assert.strictEqual(error.reason._tag, "ConnectionLoss")
      assert.include(error.message, "ECONNREFUSED")
    }))
})

const zookeeper = inject("zookeeper")

describe.skipIf(zookeeper === undefined)("a server", () => {
  const dial = Effect.flatMap(
    ConnectionString.parse(zookeeper ?? ""),
    ({ hosts: [first] }) => NodeSocket.makeNet(first)
  )

  it.live("srvr", () =>
    Effect.gen(function*() {
      const facts = yield* FourLetterWord.serverFacts(yield* dial, "5 seconds")
      assert.match(facts.version ?? facts.versionText, /^\d+\.\d+\.\d+$/)
      assert.include(["standalone", "leader", "follower", "observer"], facts.mode)
      assert.isAtLeast(facts.connections, 1)
      assert.isAtLeast(facts.nodeCount, 4)
      assert.isTrue(Schema.is(ServerFacts)(facts))
    }))

  it.live("one socket serves many words, each on a fresh connection", () =>
    Effect.gen(function*() {
      const socket = yield* dial
      for (let run = 0; run < 20; run++) {
        assert.include(yield* FourLetterWord.send(socket, "srvr", "5 seconds"), "Zookeeper version")
      }
    }))

  it.live("something that is no word is hung up on", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(FourLetterWord.send(yield* dial, "nope", "5 seconds"))
      assert.strictEqual(error.reason._tag, "ConnectionLoss")
    }))
})
