/**
 * The same steps on the in-memory core and on a real server, and everything
 * that clients are told compared: answers, errors, Stats, notifications and
 * their order.
 *
 * Zxids are compared by rank among those of the steps themselves, since a
 * shared server counts for others too; times are not compared.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import { operations as op } from "../../src/jute/Protocol.ts"
import { type Compat, Server } from "../../src/memory/Server.ts"
import { shared, sharedHost } from "../support/Clients.ts"
import {
  auth,
  type Call,
  call,
  callWith,
  closeSession,
  type Dial,
  type Message,
  overTcp,
  ping,
  RawClient,
  toCore
} from "./RawClient.ts"
import { credentials, Sequence, type Step } from "./Sequence.ts"
import { likeTheSharedServer } from "./settings.ts"

const port = Number(sharedHost.slice(sharedHost.lastIndexOf(":") + 1))
const encoder = new TextEncoder()
const open = [{ perms: 31, id: { scheme: "world", id: "anyone" } }]

const writes = new Set<number>([
  OpCode.Create,
  OpCode.Create2,
  OpCode.CreateContainer,
  OpCode.CreateTtl,
  OpCode.Delete,
  OpCode.SetData,
  OpCode.SetAcl,
  OpCode.Multi,
  OpCode.CloseSession
])

interface Told {
  readonly text: string
  readonly message: Message
}

/** What one client was told between two moments when everything had been told. */
interface Segment {
  /** The ephemerals of a session go in any order. */
  readonly isOrdered: boolean
  readonly told: ReadonlyArray<Told>
}

/** Takes the steps in one world, and collects what its clients are told. */
class Run {
  readonly told: ReadonlyArray<Array<Segment>> = credentials.map(() => [])
  readonly zxids: Array<bigint> = []
  readonly sessions = new Map<bigint, string>()
  private readonly clients: Array<RawClient> = []
  private readonly texts = new Map<Message, string>()
  private readonly dial: Dial
  private readonly root: string

  constructor(dial: Dial, root: string) {
    this.dial = dial
    this.root = root
  }

  async prepare(): Promise<void> {
    for (const index of credentials.keys()) await this.renew(index)
    const quota = `/zookeeper/quota${this.root}/q`
    const data = "count=-1,bytes=-1=;byteHardLimit=300;countHardLimit=9"
    for (const [path, text] of [
      [this.root, ""],
      [`${this.root}/q`, "xyz"],
      [`/zookeeper/quota${this.root}`, ""],
      [quota, ""],
      [`${quota}/zookeeper_limits`, data],
      [`${quota}/zookeeper_stats`, ""]
    ] as const) {
      await this.ask(3, [
        { text: path, call: call(op.create, { path, data: encoder.encode(text), acl: open, flags: 0 }) }
      ])
    }
  }

  async take(step: Step): Promise<void> {
    const client = this.client(step.client)
    switch (step._tag) {
      case "Burst":
        return this.ask(
          step.client,
          step.requests.map(({ call, text }) => ({ text, call: call(this) }))
        )
      case "Reconnect":
        await this.fence()
        await client.close()
        return this.resume(step.client, client)
      case "Intrude": {
        await this.fence()
        const intruder = new RawClient(this.dial)
        const answer = await intruder.connect({ sessionId: client.sessionId, passwd: new Uint8Array(16).fill(1) })
        assert.strictEqual(answer?.timeOut, 0)
        await client.gone
        return this.resume(step.client, client)
      }
      case "Renew":
        await this.fence()
        await this.ask(step.client, [{ text: "close", call: closeSession }])
        await client.gone
        await this.fence(false)
        return this.renew(step.client)
    }
  }

  /** Ends all sessions, one after the other, and leaves nothing behind. */
  async finish(): Promise<void> {
    await this.ask(
      3,
      [`/zookeeper/quota${this.root}/q/zookeeper_stats`, this.root, `${this.root}/q`].map((path) => ({
        text: `at last ${path}`,
        call: call(op.getData, { path, watch: false })
      }))
    )
    await this.fence()
    for (const client of this.clients.slice(0, 3)) await client.one(closeSession)
    for (const path of [this.root, `/zookeeper/quota${this.root}`]) await this.remove(path)
    await this.client(3).one(closeSession)
  }

  zxid = (position: number): bigint => this.zxids[Math.floor(position * this.zxids.length)] ?? 0n

  private async remove(path: string): Promise<void> {
    const answer = await this.client(3).one(call(op.getChildren, { path, watch: false }))
    const children =
      answer._tag === "Reply" ? (answer.body as { children: ReadonlyArray<string> } | undefined)?.children : []
    for (const child of children ?? []) await this.remove(`${path}/${child}`)
    await this.client(3).one(call(op.delete, { path, version: -1 }))
  }

  private client(index: number): RawClient {
    const client = this.clients[index]
    return client ?? assert.fail("no such client")
  }

  private async ask(
    index: number,
    requests: ReadonlyArray<{ readonly text: string; readonly call: Parameters<RawClient["one"]>[0] }>
  ): Promise<void> {
    const answers = await this.client(index).all(requests.map((request) => request.call))
    for (const [at, { call, text }] of requests.entries()) {
      const answer = answers[at]
      if (answer?._tag !== "Reply") return assert.fail(`${text}: the connection was closed`)
      this.texts.set(answer, text)
      if (writes.has(call.opCode)) this.zxids.push(answer.zxid)
    }
  }

  /** Waits until everybody was told everything. */
  private async fence(isOrdered = true): Promise<void> {
    await Promise.all(this.clients.map((client) => (client.isClosed ? undefined : client.one(ping))))
    for (const [index, client] of this.clients.entries()) {
      const told = client.messages.splice(0).map((message) => ({ message, text: this.texts.get(message) ?? "" }))
      this.told[index]?.push({ isOrdered, told })
    }
  }

  private async renew(index: number): Promise<void> {
    const client = new RawClient(this.dial)
    this.clients[index] = client
    await client.connect()
    const generation = [...this.sessions.values()].filter((name) => name.startsWith(`${index}.`)).length
    this.sessions.set(client.sessionId, `${index}.${generation}`)
    await this.authenticate(index, client)
  }

  private async resume(index: number, { password, sessionId }: RawClient): Promise<void> {
    const client = new RawClient(this.dial)
    this.clients[index] = client
    const answer = await client.connect({ sessionId, passwd: password })
    assert.strictEqual(answer?.sessionId, sessionId)
    await this.authenticate(index, client)
  }

  private async authenticate(index: number, client: RawClient): Promise<void> {
    for (const each of credentials[index] ?? []) await client.one(auth("digest", each))
  }

  // --- For comparison

  private readonly shown = (key: string, value: unknown): unknown => {
    if (key === "ctime" || key === "mtime") return undefined
    if (typeof value === "bigint") return this.sessions.get(value) ?? this.rank(value)
    if (value instanceof Uint8Array) return [...value].join()
    if ((key === "children" || key === "ephemerals") && Array.isArray(value)) return value.toSorted()
    if (key === "clientInfo" && Array.isArray(value)) return value.map((each) => JSON.stringify(each)).toSorted()
    return value
  }

  private rank(zxid: bigint): number {
    let rank = 0
    for (let low = 0, high = this.zxids.length; low < high;) {
      const middle = (low + high) >> 1
      if ((this.zxids[middle] ?? 0n) <= zxid) low = rank = middle + 1
      else high = middle
    }
    return rank
  }

  lines(index: number): ReadonlyArray<string> {
    return (this.told[index] ?? []).flatMap(({ isOrdered, told }) => {
      const lines = told.map(({ message, text }) =>
        message._tag === "Reply" && message.xid < 0
          ? `${text} → ${JSON.stringify({ ...message, zxid: this.rank(message.zxid) })}`
          : `${text} → ${JSON.stringify(message._tag === "Reply" ? { ...message, xid: 0 } : message, this.shown)}`
      )
      return isOrdered ? lines : lines.toSorted()
    })
  }
}

const compare = async (seed: number, requests: number): Promise<number> => {
  const root = `/differential-${seed}-${process.pid}`
  const steps = new Sequence(seed, root).steps(requests)
  const server = likeIt()
  const runs = [new Run(toCore(server), root), new Run(overTcp(port), root)] as const
  for (const run of runs) {
    await run.prepare()
    for (const step of steps) await run.take(step)
    await run.finish()
  }
  const [memory, real] = runs
  let count = 0
  for (const index of credentials.keys()) {
    const expected = real.lines(index)
    const actual = memory.lines(index)
    for (const [at, line] of expected.entries()) {
      if (actual[at] === line) continue
      const before = expected.slice(Math.max(0, at - 4), at)
      assert.fail(
        [`seed ${seed}, client ${index}, line ${at}`, ...before, `real:   ${line}`, `memory: ${actual[at]}`].join(
          "\n"
        )
      )
    }
    assert.strictEqual(actual.length, expected.length)
    count += expected.length
  }
  assert.deepStrictEqual(server.defects, [])
  return count
}

const bodiless = new Set<number>([OpCode.Error, OpCode.Ping, OpCode.CloseSession])

/** The bodies are cut short, or are noise. */
const malformed: ReadonlyArray<Call> = [
  ...Object.values(OpCode).flatMap((opCode) =>
    bodiless.has(opCode) ? [] : [callWith(opCode), callWith(opCode, 0, 0, 0, 9, 47)]
  ),
  callWith(OpCode.Sasl, 0, 0, 0, 0),
  callWith(OpCode.Auth, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255),
  ...["digest", "ip", "world", "super", "nosuch", ""].map((scheme) => auth(scheme, "someone")),
  ...[0, 10, 23, 99, 108, -2].map((opCode) => callWith(opCode, 1, 2, 3)),
  // Without its transaction a check is answered when it fails.
  call(op.delete, { path: "/none", version: -1 }, OpCode.Check)
]

/** What becomes of a client that sends this. */
const fate = async (dial: Dial, request: Call): Promise<string> => {
  const client = new RawClient(dial)
  await client.connect()
  const answer = await client.one(request)
  if (answer._tag !== "Reply") return `${request.opCode}: closed`
  // The end may come a little after the answer that announces it.
  const isLast = answer.err === ErrorCode.Unimplemented || answer.err === ErrorCode.AuthFailed
  if (isLast) await client.gone
  else await client.one(closeSession)
  return `${request.opCode}: ${answer.err}`
}

/** Numbers, texts in brackets and times differ; what is left is the form. */
const form = (text: string): string =>
  text
    .replace(/^Zookeeper version: .*|(?<=zookeeper.version=|zk_version\t).*/gm, "version")
    .replace(/\w+, .*GMT|\w+ \w+ \d+ [\d:]+ \w+ \d+/g, "date")
    .replace(/0x[\da-f]+|\d+(\.\d+)?/g, "0")

/** What a four-letter word is answered. */
const ask = (dial: Dial, word: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    dial({
      data: (bytes) => {
        text += new TextDecoder().decode(bytes)
      },
      closed: () => resolve(text)
    }).then((wire) => wire.send(encoder.encode(word)), reject)
  })

const keysOf = (text: string) => text.split("\n").map((line) => line.split(/[=\t]/)[0] ?? "")

/** What the real server says about itself. */
const about = shared === undefined ? "" : await ask(overTcp(port), "srvr")

/** The release that the core has to be like; there is none for those in between. */
const compat: Compat | undefined = /version: 3\.8\.[01]\b/.test(about)
  ? "3.8"
  : /version: 3\.9\.[3-9]\b/.test(about)
    ? "3.9"
    : undefined

const likeIt = (): Server =>
  new Server({ ...likeTheSharedServer, compat, members: [] }, Clock.Clock.defaultValue())

const isComparable = compat !== undefined && about.includes("Mode: standalone")
if (shared !== undefined && !isComparable) console.log(`The in-memory core is not compared with this server: ${about}`)

/** `DIFFERENTIAL_SEEDS=11-200` for others. */
const [first = 1, last = 10] = (process.env["DIFFERENTIAL_SEEDS"] ?? "1-10").split("-").map(Number)

describe.skipIf(!isComparable)("the in-memory core and a real server", () => {
  for (const seed of Array.from({ length: last - first + 1 }, (_, index) => first + index)) {
    it(`give the same answers: seed ${seed}`, async () => {
      assert.isAbove(await compare(seed, 1000), 1000)
    }, 60_000)
  }

  it("do the same with requests that are none", async () => {
    const server = likeIt()
    for (const request of malformed) {
      assert.strictEqual(await fate(toCore(server), request), await fate(overTcp(port), request))
    }
    assert.deepStrictEqual(server.defects, [])
  })

  it("answer four-letter words in the same form", async () => {
    const server = likeIt()
    for (const word of ["ruok", "isro", "srvr", "wchs"]) {
      assert.strictEqual(form(await ask(toCore(server), word)), form(await ask(overTcp(port), word)))
    }
    for (const word of ["conf", "mntr", "envi"]) {
      const real = new Set(keysOf(form(await ask(overTcp(port), word))))
      assert.deepStrictEqual(
        keysOf(form(await ask(toCore(server), word))).filter((key) => !real.has(key)),
        []
      )
    }
    // With a client that has a watch and an ephemeral; that of others on the shared server is not ours to compare.
    const clients = [new RawClient(toCore(server)), new RawClient(overTcp(port))] as const
    const path = `/words-${process.pid}`
    for (const client of clients) {
      await client.connect()
      await client.one(call(op.create, { path, data: null, acl: open, flags: 1 }))
      await client.one(call(op.exists, { path, watch: true }))
    }
    for (const word of ["wchc", "wchp", "dump", "cons", "stat"]) {
      const real = new Set(form(await ask(overTcp(port), word)).split("\n"))
      const unlike = form(await ask(toCore(server), word)).split("\n").filter((line) => !real.has(line))
      assert.deepStrictEqual(unlike, [], `${word}: ${[...real].join("|")}`)
    }
    for (const client of clients) await client.one(closeSession)
  })
})
